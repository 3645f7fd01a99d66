"""Top-k targets: what the ghost token sees, bounds, and what is refused."""

import math
from itertools import pairwise

import pytest
import torch

from distill.errors import DataError
from distill.losses import core
from distill.losses.targets import SparseTargets, log1mexp
from distill.recipe.training import TVD, ForwardKL, SkewKL

KINDS = [ForwardKL(), TVD(kind="tvd"), SkewKL(kind="skew_kl")]
NAMES = [loss.kind for loss in KINDS]


def kept(logits, k, temperatures=()):
    logp, ids = logits.log_softmax(-1).topk(k)
    rest = torch.ones_like(logits).scatter(-1, ids, 0.0)
    tail = (logits.softmax(-1) * rest).sum(-1).log()
    normalisers = {t: (logits / t).logsumexp(-1) - logits.logsumexp(-1) / t for t in temperatures}
    return SparseTargets(ids, logp, tail, log_normalisers=normalisers)


@pytest.fixture
def teacher(draw, student, make):
    return make["dense"](draw, student)


@pytest.mark.parametrize("loss", KINDS, ids=NAMES)
def test_all_tokens_kept_is_the_dense_loss(loss, student, teacher):
    """K = V leaves nothing to the ghost."""
    dense = core.value_and_grad(student, teacher, loss)
    sparse = core.value_and_grad(student, kept(teacher, 13), loss)
    torch.testing.assert_close(sparse.value_N, dense.value_N)
    torch.testing.assert_close(sparse.dz_NV, dense.dz_NV)


@pytest.mark.parametrize("loss", KINDS, ids=NAMES)
def test_a_lower_bound_that_rises_with_k(loss, student, teacher):
    """0 <= loss at k <= loss at k + 1 <= the full one."""
    values = [core.per_token_loss(student, kept(teacher, k), loss) for k in range(1, 14)]
    values.append(core.per_token_loss(student, teacher, loss))
    assert (values[0] >= -1e-12).all()
    for less, more in pairwise(values):
        assert (less <= more + 1e-12).all()


@pytest.mark.parametrize("loss", KINDS, ids=NAMES)
def test_mass_that_leaves_the_kept_tokens_is_seen(loss, teacher):
    """The ratios within the kept tokens stay, their mass falls from .72 to .14: the loss rises."""
    targets = kept(teacher, 4)
    inside = torch.zeros_like(teacher).scatter(-1, targets.ids_NK, 1.0).bool()

    def student_with(mass):
        p = teacher.softmax(-1)
        q_in = p * inside / (p * inside).sum(-1, keepdim=True) * mass
        q_out = p * ~inside / (p * ~inside).sum(-1, keepdim=True) * (1 - mass)
        return (q_in + q_out).log()

    much = core.per_token_loss(student_with(0.72), targets, loss)
    little = core.per_token_loss(student_with(0.14), targets, loss)
    assert (little > much + 0.05).all()


def test_published_ghost_gradient(student, teacher):
    """q - p on the kept tokens, q (1 - (1 - P) / (1 - Q)) on the others."""
    targets = kept(teacher, 4)
    p, q = teacher.softmax(-1), student.softmax(-1)
    inside = torch.zeros_like(q).scatter(-1, targets.ids_NK, 1.0).bool()
    missing_p, missing_q = ((x * ~inside).sum(-1, keepdim=True) for x in (p, q))
    want = torch.where(inside, q - p, q * (1 - missing_p / missing_q))
    found = core.value_and_grad(student, targets, ForwardKL()).dz_NV
    torch.testing.assert_close(found, want)


def test_a_temperature_needs_its_normaliser(student, teacher):
    """With it the kept tokens and the tail are those of the full vocabulary; without, refused."""
    loss = ForwardKL(temperature=2.0)
    with pytest.raises(DataError, match=r"no log-normaliser for temperature 2 \(allowed: 1, 3\)"):
        core.per_token_loss(student, kept(teacher, 4, [3.0]), loss)
    logp_NK, log_tail_N = kept(teacher, 4, [2.0]).at(2.0)
    p = (teacher / 2).softmax(-1)
    torch.testing.assert_close(logp_NK.exp(), p.topk(4).values)
    torch.testing.assert_close(log_tail_N.exp(), 1 - p.topk(4).values.sum(-1))
    full = core.per_token_loss(student, kept(teacher, 13, [2.0]), loss)
    torch.testing.assert_close(full, core.per_token_loss(student, teacher, loss))


@pytest.mark.parametrize("over", [0.0, 1e-7])
def test_a_mass_of_one_or_a_little_over(over, student):
    """A teacher whose kept tokens have it all, give or take rounding, leaves the ghost nothing."""
    ids = torch.tensor([[2, 5]]).expand(7, 2).clone()
    logp = torch.tensor([0.75 + over, 0.25]).log().expand(7, 2).clone()
    tail = log1mexp(logp.logsumexp(-1))
    found = core.value_and_grad(student.float(), SparseTargets(ids, logp, tail), ForwardKL())
    assert found.value_N.isfinite().all()
    assert found.dz_NV.isfinite().all()
    outside = [at for at in range(13) if at not in (2, 5)]
    q = student.float().softmax(-1)[:, outside]
    torch.testing.assert_close(found.dz_NV[:, outside], q, atol=1e-5, rtol=0)


def test_log1mexp_at_both_ends():
    """Exact where 1 - exp(x) rounds to 0 and where it rounds to 1; -inf from 0 on."""
    x = torch.tensor([-1e-6, -40.0, 0.0, 1e-6])
    found = log1mexp(x)
    want = torch.tensor([math.log(-math.expm1(-1e-6)), math.log1p(-math.exp(-40))])
    torch.testing.assert_close(found[:2], want, rtol=1e-6, atol=0)
    assert (found[2:] == -torch.inf).all()


@pytest.mark.parametrize("loss", KINDS, ids=NAMES)
def test_an_empty_row_says_nothing(loss, student):
    """No kept tokens and a tail of 1: no value and no gradient."""
    ids, keep = torch.zeros(7, 3, dtype=torch.long), torch.zeros(7, 3, dtype=torch.bool)
    targets = SparseTargets(ids, torch.full((7, 3), -torch.inf), torch.zeros(7), keep)
    leaf = student.clone().requires_grad_()
    core.per_token_loss(leaf, targets, loss).sum().backward()
    value, grad = core.value_and_grad(student, targets, loss)
    for found in (value, grad, leaf.grad):
        assert found.abs().max() < 1e-12
