"""The divergences of two rows of log-probabilities: their values, and their gradients written out.

p is the teacher, q the student. A value is an ordinary differentiable function; a slope is the
gradient of its sum with respect to the student's logits at temperature 1, without autograd.
dz = q (a - E_q a), a = dL/dq. Shapes: N tokens (values: any leading shape), V vocabulary.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill.recipe.training import JSD, AdaptiveKL, SkewKL, SkewReverseKL

_LARGE = 60.0
"""exp(60) is still far inside float32; beyond it log1p(b * expm1(d)) equals log(b) + d."""
_EPSILON = 1e-12
"""Far under any difference that matters; decides 0 / 0 where student and teacher are equal."""


class Slope(NamedTuple):
    """A loss per token and its gradient with respect to the student's logits."""

    value_N: Tensor
    dz_NV: Tensor


def forward_kl(logq_NV: Tensor, logp_NV: Tensor) -> Tensor:
    """KL(teacher || student) of every token.

    Shapes: log-probabilities (..., V), returns (...).
    Units: nats per token.
    Source: Hinton et al. 2015, arXiv:1503.02531, section 2.
    """
    return (logp_NV.exp() * (logp_NV - logq_NV)).sum(dim=-1)


def reverse_kl(logq_NV: Tensor, logp_NV: Tensor) -> Tensor:
    """KL(student || teacher) of every token.

    Shapes: log-probabilities (..., V), returns (...).
    Units: nats per token.
    Source: Gu et al. 2023, arXiv:2306.08543, section 2.1.
    """
    return forward_kl(logp_NV, logq_NV)


def jsd(logq_NV: Tensor, logp_NV: Tensor, beta: float, normalised: bool = False) -> Tensor:
    """Generalised Jensen-Shannon divergence of every token; beta 0 is forward KL, 1 reverse KL.

    Shapes: log-probabilities (..., V), returns (...).
    Units: nats per token.
    Source: Agarwal et al. 2023, arXiv:2306.13649, section 2.
    """
    if beta == 0:
        return forward_kl(logq_NV, logp_NV)
    if beta == 1:
        return reverse_kl(logq_NV, logp_NV)
    over_q_NV, over_p_NV = _log_mixture(logp_NV - logq_NV, beta)
    kl_p_N = -(logp_NV.exp() * over_p_NV).sum(dim=-1)
    kl_q_N = -(logq_NV.exp() * over_q_NV).sum(dim=-1)
    if normalised:
        return kl_p_N / (1 - beta) + kl_q_N / beta
    return beta * kl_p_N + (1 - beta) * kl_q_N


def skew_kl(logq_NV: Tensor, logp_NV: Tensor, alpha: float) -> Tensor:
    """KL(teacher || alpha teacher + (1 - alpha) student) of every token, at most -log(alpha).

    Shapes: log-probabilities (..., V), returns (...).
    Units: nats per token.
    Source: Ko et al. 2024, arXiv:2402.03898, section 3.
    """
    return -(logp_NV.exp() * _log_mixture_over(logq_NV - logp_NV, 1 - alpha)).sum(dim=-1)


def skew_reverse_kl(
    logq_NV: Tensor, logp_NV: Tensor, alpha: float, detached: bool = False
) -> Tensor:
    """KL(student || (1 - alpha) teacher + alpha student) of every token, at most -log(alpha).

    With `detached` the mixture is held fixed in the gradient.
    Shapes: log-probabilities (..., V), returns (...).
    Units: nats per token.
    Source: Ko et al. 2024, arXiv:2402.03898, section 3; detached: 2025, arXiv:2503.07067.
    """
    fixed_NV = logq_NV.detach() if detached else logq_NV
    over_NV = _log_mixture_over(logp_NV - fixed_NV, 1 - alpha)
    # Worth 0 either way; what is held fixed is log M, and log M - log q still moves with q.
    return -(logq_NV.exp() * (over_NV + (fixed_NV - logq_NV))).sum(dim=-1)


def tvd(logq_NV: Tensor, logp_NV: Tensor) -> Tensor:
    """Total variation distance of every token: half the sum of absolute differences.

    Shapes: log-probabilities (..., V), returns (...).
    Units: probability, 0 to 1.
    Source: Wen et al. 2023, arXiv:2307.15190.
    """
    return 0.5 * (logq_NV.exp() - logp_NV.exp()).abs().sum(dim=-1)


def adaptive_kl(logq_NV: Tensor, logp_NV: Tensor, head: float) -> Tensor:
    """Forward KL weighted by the gap in the teacher's head, reverse KL by that in its tail.

    The weights are held fixed in the gradient.
    Shapes: log-probabilities (..., V), returns (...).
    Units: nats per token.
    Source: Wu et al. 2024, arXiv:2404.02657; without its 0 / 0 where student = teacher.
    """
    share_N = head_share(logq_NV.detach(), logp_NV, head)
    forward_N, reverse_N = forward_kl(logq_NV, logp_NV), reverse_kl(logq_NV, logp_NV)
    return share_N * forward_N + (1 - share_N) * reverse_N


def head_share(logq_NV: Tensor, logp_NV: Tensor, head: float) -> Tensor:
    """Share of |p - q| that falls on the teacher's head; one half where p = q.

    The tail are the teacher's least likely tokens, as many as have a mass of at most `head`.
    Shapes: log-probabilities (..., V), returns (...).
    Units: a share, 0 to 1.
    Source: Wu et al. 2024, arXiv:2404.02657.
    """
    p_NV, order_NV = logp_NV.exp().sort(dim=-1, stable=True)
    gap_NV = (p_NV - logq_NV.exp().gather(-1, order_NV)).abs()
    # In float64: over a vocabulary's length the sum's rounding would move the border.
    in_tail_NV = p_NV.cumsum(dim=-1, dtype=torch.float64) <= head
    tail_N = (gap_NV * in_tail_NV).sum(dim=-1)
    head_N = (gap_NV * ~in_tail_NV).sum(dim=-1)
    return (head_N + _EPSILON / 2) / (head_N + tail_N + _EPSILON)


def _forward_kl_slope(logq_NV: Tensor, logp_NV: Tensor, _: Any) -> Slope:
    p_NV = logp_NV.exp()
    value_N = (logp_NV - logq_NV).mul_(p_NV).sum(dim=-1)
    return Slope(value_N, logq_NV.exp().sub_(p_NV))


def _reverse_kl_slope(logq_NV: Tensor, logp_NV: Tensor, _: Any) -> Slope:
    q_NV, a_NV = logq_NV.exp(), logq_NV - logp_NV
    value_N = (q_NV * a_NV).sum(dim=-1)
    return Slope(value_N, a_NV.sub_(value_N[:, None]).mul_(q_NV))


def _jsd_slope(logq_NV: Tensor, logp_NV: Tensor, loss: JSD) -> Slope:
    beta = loss.beta
    if beta == 0:
        return _forward_kl_slope(logq_NV, logp_NV, loss)
    if beta == 1:
        return _reverse_kl_slope(logq_NV, logp_NV, loss)
    over_q_NV, over_p_NV = _log_mixture(logp_NV - logq_NV, beta)
    q_NV = logq_NV.exp()
    kl_p_N = over_p_NV.mul_(logp_NV.exp()).sum(dim=-1).neg_()
    kl_q_N = (q_NV * over_q_NV).sum(dim=-1).neg_()
    dz_NV = over_q_NV.add_(kl_q_N[:, None]).mul_(q_NV)
    if loss.normalised:
        return Slope(kl_p_N / (1 - beta) + kl_q_N / beta, dz_NV.mul_(-1 / beta))
    return Slope(beta * kl_p_N + (1 - beta) * kl_q_N, dz_NV.mul_(beta - 1))


def _skew_kl_slope(logq_NV: Tensor, logp_NV: Tensor, loss: SkewKL) -> Slope:
    p_NV = logp_NV.exp()
    over_NV = _log_mixture_over(logq_NV - logp_NV, 1 - loss.alpha)
    value_N = (p_NV * over_NV).sum(dim=-1).neg_()
    a_NV = over_NV.neg_().exp_().mul_(loss.alpha - 1)
    return Slope(value_N, _centred(logq_NV.exp(), a_NV))


def _skew_reverse_kl_slope(logq_NV: Tensor, logp_NV: Tensor, loss: SkewReverseKL) -> Slope:
    q_NV = logq_NV.exp()
    a_NV = _log_mixture_over(logp_NV - logq_NV, 1 - loss.alpha).neg_()
    value_N = (q_NV * a_NV).sum(dim=-1)
    if not loss.detached:
        a_NV.sub_(a_NV.exp(), alpha=loss.alpha)
    return Slope(value_N, _centred(q_NV, a_NV))


def _tvd_slope(logq_NV: Tensor, logp_NV: Tensor, _: Any) -> Slope:
    q_NV = logq_NV.exp()
    gap_NV = q_NV - logp_NV.exp()
    value_N = 0.5 * gap_NV.abs().sum(dim=-1)
    return Slope(value_N, _centred(q_NV, gap_NV.sign_().mul_(0.5)))


def _adaptive_kl_slope(logq_NV: Tensor, logp_NV: Tensor, loss: AdaptiveKL) -> Slope:
    share_N = head_share(logq_NV, logp_NV, loss.head)
    forward = _forward_kl_slope(logq_NV, logp_NV, loss)
    reverse = _reverse_kl_slope(logq_NV, logp_NV, loss)
    value_N = share_N * forward.value_N + (1 - share_N) * reverse.value_N
    dz_NV = forward.dz_NV.mul_(share_N[:, None])
    return Slope(value_N, dz_NV.addcmul_(reverse.dz_NV, 1 - share_N[:, None]))


def _centred(q_NV: Tensor, a_NV: Tensor) -> Tensor:
    """The slope q (a - E_q a), in place of a."""
    mean_N1 = (q_NV * a_NV).sum(dim=-1, keepdim=True)
    return a_NV.sub_(mean_N1).mul_(q_NV)


def _log_mixture(gap_NV: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Both log M - log q and log M - log p of M = beta p + (1 - beta) q; gap = log p - log q.

    The smaller one is computed, the other follows: near the ends it is far smaller than the gap.
    """
    if beta <= 0.5:
        over_q_NV = _log_mixture_over(gap_NV, beta)
        return over_q_NV, over_q_NV - gap_NV
    over_p_NV = _log_mixture_over(-gap_NV, 1 - beta)
    return over_p_NV + gap_NV, over_p_NV


def _log_mixture_over(gap_NV: Tensor, share: float) -> Tensor:
    """log(share * a + (1 - share) * b) - log b, from gap = log a - log b."""
    small_NV = gap_NV.clamp(max=_LARGE)
    return torch.log1p(share * torch.expm1(small_NV)) + (gap_NV - small_NV)


Value = Callable[[Tensor, Tensor, Any], Tensor]
SlopeOf = Callable[[Tensor, Tensor, Any], Slope]

DENSE: dict[str, tuple[Value, SlopeOf]] = {
    "forward_kl": (lambda q, p, _: forward_kl(q, p), _forward_kl_slope),
    "reverse_kl": (lambda q, p, _: reverse_kl(q, p), _reverse_kl_slope),
    "jsd": (lambda q, p, loss: jsd(q, p, loss.beta, loss.normalised), _jsd_slope),
    "skew_kl": (lambda q, p, loss: skew_kl(q, p, loss.alpha), _skew_kl_slope),
    "skew_reverse_kl": (
        lambda q, p, loss: skew_reverse_kl(q, p, loss.alpha, loss.detached),
        _skew_reverse_kl_slope,
    ),
    "tvd": (lambda q, p, _: tvd(q, p), _tvd_slope),
    "adaptive_kl": (lambda q, p, loss: adaptive_kl(q, p, loss.head), _adaptive_kl_slope),
}
"""Kind -> value and slope, of the student's and the teacher's log-probabilities and the loss."""
