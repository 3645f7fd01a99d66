"""The distillation losses on rows of logits, in float32 log-space.

Shapes: N tokens (any leading shape), V vocabulary. What each loss is stands in
`distill.losses.spec`; `distill.losses.reference` computes the same from explicit probabilities.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from distill.recipe.training import JSD, Loss

_LARGE = 60.0
"""exp(60) is still far inside float32; beyond it log1p(b * expm1(d)) equals log(b) + d."""


def per_token_loss(student_logits_NV: Tensor, teacher_logits_NV: Tensor, loss: Loss) -> Tensor:
    """The distillation loss of every token, without its weight.

    Shapes: logits (..., V), returns (...) float32 (float64 for float64 logits).
    Units: nats per token; not multiplied by temperature**2.
    Source: distill.losses.spec.SPECS.
    """
    logq_NV = _log_probabilities(student_logits_NV, loss.temperature)
    logp_NV = _log_probabilities(teacher_logits_NV, loss.temperature)
    return LOSSES[loss.kind](logq_NV, logp_NV, loss)


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
    gap_NV = logp_NV - logq_NV
    # From the gap, not from log M: near the ends log M - log q is far smaller than either of them.
    kl_p_N = -(logp_NV.exp() * _log_mixture_over(-gap_NV, 1 - beta)).sum(dim=-1)
    kl_q_N = -(logq_NV.exp() * _log_mixture_over(gap_NV, beta)).sum(dim=-1)
    if normalised:
        return kl_p_N / (1 - beta) + kl_q_N / beta
    return beta * kl_p_N + (1 - beta) * kl_q_N


def _log_mixture_over(gap_NV: Tensor, share: float) -> Tensor:
    """log(share * a + (1 - share) * b) - log b, from gap = log a - log b."""
    small_NV = gap_NV.clamp(max=_LARGE)
    return torch.log1p(share * torch.expm1(small_NV)) + (gap_NV - small_NV)


def _log_probabilities(logits_NV: Tensor, temperature: float) -> Tensor:
    wide = logits_NV if logits_NV.dtype == torch.float64 else logits_NV.float()
    return torch.log_softmax(wide / temperature if temperature != 1.0 else wide, dim=-1)


def _forward_kl(logq_NV: Tensor, logp_NV: Tensor, _: Any) -> Tensor:
    return forward_kl(logq_NV, logp_NV)


def _reverse_kl(logq_NV: Tensor, logp_NV: Tensor, _: Any) -> Tensor:
    return reverse_kl(logq_NV, logp_NV)


def _jsd(logq_NV: Tensor, logp_NV: Tensor, loss: JSD) -> Tensor:
    return jsd(logq_NV, logp_NV, loss.beta, loss.normalised)


LOSSES: dict[str, Callable[[Tensor, Tensor, Any], Tensor]] = {
    "forward_kl": _forward_kl,
    "reverse_kl": _reverse_kl,
    "jsd": _jsd,
}
"""Kind -> the loss of student and teacher log-probabilities; keys are those of SPECS."""
