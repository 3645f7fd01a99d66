"""Distillation and cross-entropy together: weights as written, sums apart, any split the same."""

import pytest
import torch
from torch.nn.functional import cross_entropy, pad

from distill.losses import core
from distill.losses.objective import terms, terms_and_grad
from distill.losses.targets import rows_of
from distill.recipe.training import ForwardKL, ReverseKL

LOSS = ForwardKL(weight=0.7, ce=0.2)


@pytest.fixture
def labels(draw):
    return torch.randint(13, (7,), generator=draw)


@pytest.fixture
def teacher(draw, student, make):
    return make["dense"](draw, student)


def by_autograd(student, *args, **kwargs):
    leaf = student.clone().requires_grad_()
    found = terms(leaf, *args, **kwargs)
    found.weighted.backward()
    return found, leaf.grad


def same(one, other):
    for name in ("kd", "ce"):
        torch.testing.assert_close(getattr(one, name).sum, getattr(other, name).sum)
        assert getattr(one, name).count == getattr(other, name).count
    torch.testing.assert_close(one.weighted, other.weighted)


def test_weights_are_used_as_written(student, labels, teacher):
    """weight * KD + ce * CE, not renormalised; both terms come back unweighted."""
    found = terms(student, labels, LOSS, teacher)
    kd = core.per_token_loss(student, teacher, LOSS).sum()
    ce = cross_entropy(student, labels, reduction="sum")
    torch.testing.assert_close(found.kd.sum, kd)
    torch.testing.assert_close(found.ce.sum, ce)
    assert (found.kd.count, found.ce.count) == (7, 7)
    torch.testing.assert_close(found.weighted, 0.7 * kd + 0.2 * ce)


def test_rows_without_a_signal_get_both_weights_on_cross_entropy(student, labels, teacher):
    """A text-only row gets CE with weight + ce; KD counts only the rows that have a signal."""
    has = torch.tensor([True, False, True, True, False, False, True])
    found = terms(student, labels, LOSS, teacher[has], has)
    kd = core.per_token_loss(student[has], teacher[has], LOSS).sum()
    ce = cross_entropy(student, labels, reduction="none")
    assert (found.kd.count, found.ce.count) == (4, 7)
    want = 0.7 * kd + 0.2 * ce[has].sum() + 0.9 * ce[~has].sum()
    torch.testing.assert_close(found.weighted, want)


def test_text_only_is_cross_entropy(student, labels):
    """Without targets every row is text-only."""
    found = terms(student, labels, LOSS)
    torch.testing.assert_close(found.weighted, 0.9 * cross_entropy(student, labels).mul(7))
    assert found.kd.count == 0
    assert found.kd.sum == 0


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("block", [1, 3, 7])
def test_the_written_out_gradient_is_autograds(
    temperature, mixed, block, student, labels, teacher, monkeypatch
):
    """Sums and gradient agree, for any temperature, mixture of rows and block size."""
    monkeypatch.setitem(core.BLOCK_ELEMENTS, "cpu", block * 13)
    loss = LOSS.model_copy(update={"temperature": temperature})
    has = torch.tensor([False, True, True, False, True, False, True]) if mixed else None
    targets = teacher[has] if mixed else teacher
    want, want_grad = by_autograd(student, labels, loss, targets, has)
    found = terms_and_grad(student, labels, loss, targets, has)
    same(found.terms, want)
    torch.testing.assert_close(found.dz_NV, want_grad)


def test_sparse_and_sampled_rows(student, labels, draw, make):
    """Any targets that the loss takes can be mixed with cross-entropy."""
    for signal in ("topk", "sampled"):
        targets = make[signal](draw, student)
        want, want_grad = by_autograd(student, labels, LOSS, targets)
        found = terms_and_grad(student, labels, LOSS, targets)
        same(found.terms, want)
        torch.testing.assert_close(found.dz_NV, want_grad)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_padding_columns_only_cross_entropy_sees(temperature, student, labels, teacher):
    """KD is computed over the shared columns, CE over all."""
    loss = ReverseKL(kind="reverse_kl", temperature=temperature)
    wide = pad(student, (0, 5), value=1.5)
    want, want_grad = by_autograd(wide, labels, loss, teacher)
    torch.testing.assert_close(want.kd.sum, core.per_token_loss(student, teacher, loss).sum())
    torch.testing.assert_close(want.ce.sum, cross_entropy(wide, labels, reduction="sum"))
    found = terms_and_grad(wide, labels, loss, teacher)
    same(found.terms, want)
    torch.testing.assert_close(found.dz_NV, want_grad)


@pytest.mark.parametrize("at", [1, 3, 6])
def test_any_split_gives_the_same_sums(at, student, labels, draw, make):
    """Micro-batches add up: the parts' sums and gradients are those of the whole."""
    targets = make["topk"](draw, student)
    whole = terms_and_grad(student, labels, LOSS, targets)
    cuts = (slice(0, at), slice(at, 7))
    parts = [terms_and_grad(student[c], labels[c], LOSS, rows_of(targets, c)) for c in cuts]
    torch.testing.assert_close(sum(p.terms.weighted for p in parts), whole.terms.weighted)
    torch.testing.assert_close(torch.cat([p.dz_NV for p in parts]), whole.dz_NV)


def test_a_wrong_shift_fails_loudly(draw):
    """A teacher that knows the next token: loss near 0 only when position i predicts token i."""
    tokens = torch.randint(50, (100,), generator=draw)
    knows = 30 * torch.nn.functional.one_hot(tokens, 50).float()
    for shift in (-1, 0, 1):
        found = terms(knows.roll(shift, dims=0), tokens, ForwardKL(), knows)
        kd, ce = found.kd.sum / 100, found.ce.sum / 100
        assert (kd < 1e-3) == (shift == 0)
        assert (ce < 1e-3) == (shift == 0)


def test_no_tokens_at_all(teacher, student, labels):
    """A batch without supervised tokens has sums of 0 and an empty gradient."""
    found = terms_and_grad(student[:0], labels[:0], LOSS, teacher[:0])
    assert found.terms.weighted == 0
    assert found.dz_NV.shape == (0, 13)
    assert terms(student[:0], labels[:0], LOSS, teacher[:0]).weighted == 0
