"""How losses are dispatched, cut into blocks and kept small."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from distill.errors import RecipeError
from distill.losses import core
from distill.losses.targets import TokenTargets
from distill.recipe.training import JSD, ForwardKL, ReverseKL, SampledReverseKL


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_blocks_change_nothing(case, rows, draw, student, monkeypatch):
    """However many rows are looked at together, the numbers are the same."""
    targets = case.targets(draw, student)
    whole = core.value_and_grad(student, targets, case.loss)
    monkeypatch.setitem(core.BLOCK_ELEMENTS, "cpu", rows * student.shape[1])
    cut = core.value_and_grad(student, targets, case.loss)
    torch.testing.assert_close(cut.value_N, whole.value_N, atol=1e-14, rtol=0)
    torch.testing.assert_close(cut.dz_NV, whole.dz_NV, atol=1e-14, rtol=0)


def test_the_gradient_may_take_the_logits_place(case, draw, student):
    """With the logits as `out_NV` nothing new is returned, and the numbers are the same."""
    targets = case.targets(draw, student)
    want = core.value_and_grad(student, targets, case.loss)
    got = core.value_and_grad(student, targets, case.loss, out_NV=student)
    assert got.dz_NV is student
    assert torch.equal(got.dz_NV, want.dz_NV)
    assert torch.equal(got.value_N, want.value_N)


class _Largest(TorchDispatchMode):
    """The size of the largest new tensor."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {part.data_ptr() for part in args if isinstance(part, torch.Tensor)}
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor) and part.data_ptr() not in given:
                self.elements = max(self.elements, part.numel())
        return result


def test_no_tensor_is_larger_than_a_block(divergence, draw, monkeypatch):
    """In place of the logits, nothing of their size is allocated."""
    student = torch.randn((64, 50), generator=draw)
    targets = divergence.targets(draw, student)
    targets = targets.float() if isinstance(targets, torch.Tensor) else targets
    monkeypatch.setitem(core.BLOCK_ELEMENTS, "cpu", 4 * 50)
    with _Largest() as largest:
        core.value_and_grad(student, targets, divergence.loss, out_NV=student)
    assert 0 < largest.elements <= 4 * 50


def test_no_graph_is_built(case, draw, student):
    """The written-out gradient needs no autograd and leaves none behind."""
    student.requires_grad_()
    found = core.value_and_grad(student, case.targets(draw, student.detach()), case.loss)
    assert not found.value_N.requires_grad
    assert not found.dz_NV.requires_grad


def test_dense_rows_may_have_any_leading_shape(draw, student, make):
    """A batch of sequences gives a loss of the batch's shape."""
    teacher = make["dense"](draw, student)
    flat = core.per_token_loss(student, teacher, ForwardKL())
    folded = core.per_token_loss(student.view(7, 1, 13), teacher.view(7, 1, 13), ForwardKL())
    assert torch.equal(folded[:, 0], flat)


def test_targets_that_cannot_give_a_loss_are_refused(draw, student, make):
    """What the recipe's check refuses does not fall back to something else here."""
    with pytest.raises(RecipeError, match=r"reverse_kl cannot be computed from SparseTargets"):
        core.per_token_loss(student, make["topk"](draw, student), ReverseKL(kind="reverse_kl"))
    loss = SampledReverseKL(kind="sampled_reverse_kl")
    with pytest.raises(RecipeError, match=TokenTargets.__name__):
        core.value_and_grad(student, make["dense"](draw, student), loss)


def test_ends_of_jsd_have_their_direction(draw, student, make):
    """Beta 0 is forward KL and beta 1 reverse KL, on a pair where the two differ."""
    teacher = make["dense"](draw, student)
    forward = core.per_token_loss(student, teacher, ForwardKL())
    reverse = core.per_token_loss(student, teacher, ReverseKL(kind="reverse_kl"))
    assert not torch.allclose(forward, reverse, rtol=0.05)
    for beta, want in ((0.0, forward), (1.0, reverse)):
        assert torch.equal(core.per_token_loss(student, teacher, JSD(kind="jsd", beta=beta)), want)


@pytest.mark.parametrize(("beta", "kind"), [(1e-6, "forward_kl"), (1 - 1e-6, "reverse_kl")])
def test_normalised_jsd_is_continuous_at_its_ends(beta, kind, draw, student, make):
    """With `normalised` the value runs into forward and reverse KL; raw it shrinks to nothing."""
    student, teacher = student.float() / 3, make["dense"](draw, student).float() / 3
    end = ForwardKL() if kind == "forward_kl" else ReverseKL(kind="reverse_kl")
    want, want_grad = core.value_and_grad(student, teacher, end)
    smooth = JSD(kind="jsd", beta=beta, normalised=True)
    value, grad = core.value_and_grad(student, teacher, smooth)
    torch.testing.assert_close(value, want, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(grad, want_grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(core.per_token_loss(student, teacher, smooth), value)
    raw = core.per_token_loss(student, teacher, JSD(kind="jsd", beta=beta))
    assert (raw < 0.01 * want).all()


def test_a_padded_students_columns_may_be_cut(draw, student, make):
    """Zeros in padding columns would take mass; cutting them gives the unpadded loss."""
    teacher = make["dense"](draw, student) - 10
    wide = torch.nn.functional.pad(student - 10, (0, 20))
    want = core.per_token_loss(student, teacher, ForwardKL())
    torch.testing.assert_close(core.per_token_loss(wide[:, :13], teacher, ForwardKL()), want)
