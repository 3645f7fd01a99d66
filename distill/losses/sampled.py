"""Unbiased losses on few tokens: draws from the teacher, and tokens that the student wrote.

Shapes: N tokens, V vocabulary, K draws per token.
"""

import torch
from torch import Tensor

from distill.losses.dense import Slope
from distill.losses.targets import FLOOR, SampledTargets, TokenTargets
from distill.recipe.training import Loss


def forward_kl(logq_NV: Tensor, targets: SampledTargets, _: Loss) -> Tensor:
    """An unbiased estimate of KL(teacher || student): sum of w (log p - log q) over the draws.

    Without the teacher's log-probabilities log w stands for log p: same gradient, value too high.
    Shapes: log-probabilities (N, V), returns (N,).
    Units: nats per token; a single estimate may be negative.
    Source: Anshumann et al. 2025, arXiv:2503.16870.
    """
    weights_NK = targets.weights_NK.to(logq_NV.dtype)
    logp_NK = weights_NK.log() if targets.logp_NK is None else targets.logp_NK.to(logq_NV.dtype)
    gap_NK = logp_NK.clamp(min=FLOOR) - logq_NV.gather(-1, targets.ids_NK)
    return (weights_NK * gap_NK).sum(dim=-1)


def forward_kl_slope(logq_NV: Tensor, targets: SampledTargets, loss: Loss) -> Slope:
    """The estimate and its gradient, W q - w with W the sum of the weights.

    Shapes: log-probabilities (N, V), returns (N,), (N, V).
    Units: nats per token.
    Source: Anshumann et al. 2025, arXiv:2503.16870.
    """
    weights_NK = targets.weights_NK.to(logq_NV.dtype)
    dz_NV = logq_NV.exp().mul_(weights_NK.sum(dim=-1, keepdim=True))
    dz_NV.scatter_add_(-1, targets.ids_NK, -weights_NK)
    return Slope(forward_kl(logq_NV, targets, loss), dz_NV)


def reverse_kl(logq_NV: Tensor, targets: TokenTargets, _: Loss) -> Tensor:
    """k1 = log q(y) - log p(y) of a token y that the student wrote; E_q of it is KL(q || p).

    The gradient is the score function's, k1 d log q(y), whose expectation is that of KL(q || p).
    Differentiating k1 itself would give d log q(y), 0 on average; and the gradient of the k3
    estimator p/q - 1 - log(p/q) is, on average, that of forward KL.
    Shapes: log-probabilities (N, V), returns (N,).
    Units: nats per token; a single estimate may be negative.
    Source: Schulman 2020, "Approximating KL divergence"; Gu et al. 2023, arXiv:2306.08543,
    section 2.2, with each token's own term only.
    """
    logq_N = _written(logq_NV, targets)
    k1_N = (logq_N - targets.logp_N.to(logq_N.dtype).clamp(min=FLOOR)).detach()
    # Worth k1, differentiates to k1 d log q.
    return k1_N + k1_N * (logq_N - logq_N.detach())


def reverse_kl_slope(logq_NV: Tensor, targets: TokenTargets, _: Loss) -> Slope:
    """k1 and the score function's gradient, k1 (e_y - q).

    Shapes: log-probabilities (N, V), returns (N,), (N, V).
    Units: nats per token.
    Source: as `reverse_kl`.
    """
    logq_N = _written(logq_NV, targets)
    k1_N = logq_N - targets.logp_N.to(logq_N.dtype).clamp(min=FLOOR)
    dz_NV = logq_NV.exp().mul_(-k1_N[:, None])
    at_N = torch.arange(len(k1_N), device=k1_N.device)
    dz_NV[at_N, targets.ids_N] += k1_N
    return Slope(k1_N, dz_NV)


def _written(logq_NV: Tensor, targets: TokenTargets) -> Tensor:
    return logq_NV.gather(-1, targets.ids_N[:, None])[:, 0]
