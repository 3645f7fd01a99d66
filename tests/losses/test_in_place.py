"""Text and top-k targets written over the logits: the values and gradients of autograd."""

import pytest
import torch
from torch.nn.functional import pad

from distill.losses import core
from distill.losses.objective import terms, terms_and_grad
from distill.losses.targets import SparseTargets
from distill.recipe.training import TVD, ForwardKL, SkewKL

LOSSES = {
    "forward_kl": ForwardKL(weight=0.7, ce=0.2),
    "skew_kl": SkewKL(kind="skew_kl", weight=0.7, ce=0.2),
    "tvd": TVD(kind="tvd", weight=0.7, ce=0.2),
}
ROWS, COLUMNS, KEPT = 9, 40, 6


def sparse(draw, rows=ROWS, keep=False):
    logp_NV = torch.randn(rows, COLUMNS, generator=draw, dtype=torch.float64).log_softmax(-1)
    top = logp_NV.topk(KEPT, dim=-1)
    ids_NK, keep_NK = top.indices, None
    if keep:
        keep_NK = torch.arange(KEPT) < torch.arange(rows)[:, None] % (KEPT + 1)
        # What does not count may name any token, one that counts and one that is no token too.
        ids_NK = torch.where(keep_NK, ids_NK, ids_NK[:, :1])
    mass_NK = top.values.exp() if keep_NK is None else top.values.exp() * keep_NK
    return SparseTargets(ids_NK, top.values, torch.log1p(-mass_NK.sum(-1)), keep_NK)


def checked(logits_NV, labels_N, loss, targets, signal_N=None, width=None, **close):
    leaf_NV = logits_NV.clone().requires_grad_()
    want = terms(leaf_NV, labels_N, loss, targets, signal_N, width)
    want.weighted.backward()
    found = terms_and_grad(logits_NV, labels_N, loss, targets, signal_N, width)
    torch.testing.assert_close(found.dz_NV, leaf_NV.grad, **close)
    torch.testing.assert_close(found.terms.weighted, want.weighted, check_dtype=False, **close)
    for name in ("kd", "ce"):
        ours, theirs = getattr(found.terms, name), getattr(want, name)
        torch.testing.assert_close(ours.sum, theirs.sum, check_dtype=False, **close)
        assert ours.count == theirs.count
    return found


@pytest.fixture
def labels(draw):
    return torch.randint(COLUMNS, (ROWS,), generator=draw)


@pytest.fixture
def logits(draw):
    return 3 * torch.randn(ROWS, COLUMNS, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("padding", [0, 3])
def test_top_k(kind, keep, mixed, padding, logits, labels, draw, monkeypatch):
    """For every loss on top-k, different k, rows without a signal, padding columns, any blocks."""
    monkeypatch.setitem(core.BLOCK_ELEMENTS, "cpu", COLUMNS // 2)
    signal_N = torch.arange(ROWS) % 3 != 1 if mixed else None
    targets = sparse(draw, ROWS if signal_N is None else int(signal_N.sum()), keep)
    wide_NV = pad(logits, (0, padding), value=1.5)
    checked(wide_NV, labels, LOSSES[kind], targets, signal_N, COLUMNS)


def test_text(logits, labels):
    """Text alone, too."""
    checked(logits, labels, LOSSES["forward_kl"], None)


def test_the_gradient_takes_the_room_of_the_logits(logits, labels, draw):
    """Nothing of their size is allocated beside them."""
    targets, loss = sparse(draw), LOSSES["forward_kl"]
    want = terms_and_grad(logits, labels, loss, targets)
    mine = logits.clone()
    found = terms_and_grad(mine, labels, loss, targets, out_NV=mine)
    assert found.dz_NV is mine
    assert torch.equal(found.dz_NV, want.dz_NV)


@pytest.mark.parametrize("gap", [30.0, 80.0])
def test_a_student_that_is_sure(gap, logits, labels, draw):
    """Where all mass lies on one kept token, in float32, the rest is what it is, not 1 - q."""
    targets, loss = sparse(draw), LOSSES["forward_kl"]
    sharp_NV = logits.clone()
    sharp_NV.scatter_add_(-1, targets.ids_NK[:, :1], torch.full((ROWS, 1), gap, dtype=logits.dtype))
    want = terms_and_grad(sharp_NV, labels, loss, targets)
    halved = SparseTargets(targets.ids_NK, targets.logp_NK.float(), targets.log_tail_N.float())
    found = terms_and_grad(sharp_NV.float(), labels, loss, halved)
    torch.testing.assert_close(found.dz_NV, want.dz_NV.float(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.terms.kd.sum.double(), want.terms.kd.sum, rtol=1e-5, atol=0)


def test_columns_that_cannot_be(logits, labels, draw):
    """A column at -inf on both sides has no gradient and changes nothing."""
    targets = sparse(draw)
    logits.scatter_(-1, targets.ids_NK[:, -1:], -torch.inf)
    keep_NK = (torch.arange(KEPT) < KEPT - 1).expand(ROWS, -1)
    tail_N = torch.log1p(-(targets.logp_NK.exp() * keep_NK).sum(-1))
    targets = SparseTargets(targets.ids_NK, targets.logp_NK, tail_N, keep_NK)
    labels = logits.argmax(-1)
    found = checked(logits, labels, LOSSES["forward_kl"], targets)
    assert bool(found.dz_NV.isfinite().all())
    assert bool((found.dz_NV.gather(-1, targets.ids_NK[:, -1:]) == 0).all())
