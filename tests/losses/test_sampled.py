"""Estimates from few tokens are right on average: by enumeration, and over many draws."""

import torch

from distill.losses import core, reference
from distill.losses.targets import SampledTargets, TokenTargets
from distill.recipe.training import ForwardKL, ReverseKL, SampledReverseKL

SAMPLED_REVERSE = SampledReverseKL(kind="sampled_reverse_kl")


def toy(draw, size=9):
    student, teacher = torch.randn((2, 1, size), generator=draw, dtype=torch.float64)
    return student, teacher


def expected(student, make_targets, loss, weights):
    """Value and gradient averaged over every token that could be drawn."""
    size = student.shape[-1]
    rows = student.expand(size, size)
    value, grad = core.value_and_grad(rows, make_targets(torch.arange(size)), loss)
    return (weights * value).sum(), weights @ grad


def test_one_draw_from_the_teacher_is_unbiased(draw):
    """The average over every possible draw is forward KL and its gradient, exactly."""
    student, teacher = toy(draw)
    logp = teacher.log_softmax(-1)[0]

    def one(ids):
        return SampledTargets(ids[:, None], torch.ones(len(ids), 1), logp[ids][:, None])

    value, grad = expected(student, one, ForwardKL(), logp.exp())
    want = reference.value_and_grad(student, teacher, ForwardKL())
    torch.testing.assert_close(value, want.value_N[0])
    torch.testing.assert_close(grad, want.dz_NV[0])


def test_many_draws_from_the_teacher_are_unbiased(draw, make):
    """The mean of 200 targets of 50 draws each: value and gradient within sampling error."""
    student, teacher = toy(draw, size=20)
    p = teacher.softmax(-1)[0]
    ids = torch.multinomial(p.expand(200, 20), 50, replacement=True, generator=draw)
    counts = torch.zeros(200, 20).scatter_add_(-1, ids, torch.ones(200, 50))
    every = torch.arange(20).expand(200, 20)
    targets = SampledTargets.from_counts(every, counts, p.log().expand(200, 20))
    value, grad = core.value_and_grad(student.expand(200, 20), targets, ForwardKL())
    want = reference.value_and_grad(student, teacher, ForwardKL())
    assert (grad.mean(0) - want.dz_NV[0]).abs().max() < 0.01
    assert abs(value.mean() - want.value_N[0]) < 4 * value.std() / 200**0.5


def test_importance_weights_keep_it_unbiased(draw):
    """Draws from another distribution r, weighted by p / r, average to the same gradient."""
    student, teacher = toy(draw)
    logp = teacher.log_softmax(-1)[0]
    r = (logp / 2).softmax(-1)

    def one(ids):
        return SampledTargets(ids[:, None], (logp.exp() / r)[ids][:, None], logp[ids][:, None])

    value, grad = expected(student, one, ForwardKL(), r)
    want = reference.value_and_grad(student, teacher, ForwardKL())
    torch.testing.assert_close(value, want.value_N[0])
    torch.testing.assert_close(grad, want.dz_NV[0])


def test_without_the_teachers_own_probabilities_only_the_value_is_biased(draw, student, make):
    """Counts alone give the same gradient and a value that is too high on average."""
    ids = make["sampled"](draw, student).ids_NK
    p = make["dense"](draw, student).log_softmax(-1)
    given = SampledTargets.from_counts(ids, torch.ones_like(ids), p.gather(-1, ids))
    alone = SampledTargets.from_counts(ids, torch.ones_like(ids))
    one = core.value_and_grad(student, given, ForwardKL())
    other = core.value_and_grad(student, alone, ForwardKL())
    assert torch.equal(one.dz_NV, other.dz_NV)
    assert not torch.allclose(one.value_N, other.value_N)


def test_duplicates_and_empty_entries_count_as_they_should(student):
    """A token drawn twice equals one with twice the weight; weight 0 is no entry."""
    twice = SampledTargets(torch.tensor([[3, 3, 5, 0]]), torch.tensor([[0.25, 0.25, 0.5, 0.0]]))
    once = SampledTargets(torch.tensor([[3, 5]]), torch.tensor([[0.5, 0.5]]))
    one, other = (core.value_and_grad(student[:1], t, ForwardKL()).dz_NV for t in (twice, once))
    torch.testing.assert_close(one, other)


def test_nothing_drawn_says_nothing(student):
    """Counts of 0 give no value and no gradient."""
    ids, counts = torch.zeros(7, 3, dtype=torch.long), torch.zeros(7, 3, dtype=torch.long)
    found = core.value_and_grad(student, SampledTargets.from_counts(ids, counts), ForwardKL())
    assert (found.value_N == 0).all()
    assert (found.dz_NV == 0).all()


def test_sampled_reverse_kl_is_unbiased(draw):
    """k1 and its score-function gradient, averaged over what the student could write."""
    student, teacher = toy(draw)
    logp = teacher.log_softmax(-1)[0]
    q = student.softmax(-1)[0]
    value, grad = expected(student, lambda ids: TokenTargets(ids, logp[ids]), SAMPLED_REVERSE, q)
    want = reference.value_and_grad(student, teacher, ReverseKL(kind="reverse_kl"))
    torch.testing.assert_close(value, want.value_N[0])
    torch.testing.assert_close(grad, want.dz_NV[0])


def test_differentiating_the_estimates_themselves_would_not_do(draw):
    """The average derivative of k1 is 0, that of k3 the gradient of forward KL."""
    student, teacher = toy(draw)
    leaf, logp = student.clone().requires_grad_(), teacher.log_softmax(-1)[0]
    logq = leaf.log_softmax(-1)[0]
    q = logq.exp().detach()
    (k1,) = torch.autograd.grad((q * (logq - logp)).sum(), leaf, retain_graph=True)
    assert k1.abs().max() < 1e-12
    ratio = (logp - logq).exp()
    (k3,) = torch.autograd.grad((q * (ratio - 1 - ratio.log())).sum(), leaf)
    forward = reference.value_and_grad(student, teacher, ForwardKL()).dz_NV
    torch.testing.assert_close(k3, forward)
