"""Losses on the teacher's top k tokens: everything outside them is one token more, the ghost.

Both sides are coarsened alike, so a divergence stays >= 0, is 0 where the coarse distributions are
equal, is never above the full one, and sees student mass that leaves the kept tokens.
Source: Anshumann et al. 2025, arXiv:2503.16870. Shapes: N tokens, V vocabulary, K kept per token.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from distill.losses.dense import DENSE, Slope
from distill.losses.targets import FLOOR, SparseTargets
from distill.recipe.training import Loss


class _Coarse(NamedTuple):
    """Log-probabilities of the kept tokens and the ghost; those that do not count are FLOOR."""

    logq_NC: Tensor
    logp_NC: Tensor


class CoarseSlope(NamedTuple):
    """A loss per token and its gradient on what the teacher names and on all others together."""

    value_N: Tensor
    dz_NK: Tensor
    """0 where an entry does not count."""
    dz_N1: Tensor
    """Of the ghost."""


def value(logq_NV: Tensor, targets: SparseTargets, loss: Loss) -> Tensor:
    """The loss of every token on kept tokens and ghost, differentiable.

    Shapes: log-probabilities (N, V), returns (N,).
    Units: nats per token (tvd: probability).
    Source: distill.losses.spec.SPECS.
    """
    inside_NV = _inside(targets, logq_NV)
    # A finite floor, not -inf: where nothing is outside, the gradient of logsumexp would be nan.
    log_rest_N = logq_NV.masked_fill(inside_NV, FLOOR).logsumexp(dim=-1)
    logq_NK = logq_NV.gather(-1, targets.ids_NK)
    coarse = _coarse(logq_NK, log_rest_N, targets, loss.temperature)
    return DENSE[loss.kind][0](coarse.logq_NC, coarse.logp_NC, loss)


def slope(logq_NV: Tensor, targets: SparseTargets, loss: Loss) -> Slope:
    """The loss of every token and its gradient with respect to the logits at temperature 1.

    Outside the kept tokens the ghost's gradient is shared out in proportion to q.
    Shapes: log-probabilities (N, V), returns (N,), (N, V).
    Units: nats per token (tvd: probability).
    Source: distill.losses.spec.SPECS.
    """
    rest_NV = logq_NV.exp()
    kept_NK = rest_NV.gather(-1, targets.ids_NK)
    if targets.keep_NK is not None:
        kept_NK = kept_NK * targets.keep_NK
    # Taken away from itself: exactly 0, and entries that do not count may name any token.
    rest_NV.scatter_add_(-1, targets.ids_NK, -kept_NK)
    rest_N1 = rest_NV.sum(dim=-1, keepdim=True)
    logq_NK = logq_NV.gather(-1, targets.ids_NK)
    found = coarse_slope(logq_NK, rest_N1.log()[:, 0], targets, loss)
    per_mass_N1 = torch.where(rest_N1 > 0, found.dz_N1 / rest_N1, 0.0)
    dz_NV = rest_NV.mul_(per_mass_N1).scatter_add_(-1, targets.ids_NK, found.dz_NK)
    return Slope(found.value_N, dz_NV)


def coarse_slope(
    logq_NK: Tensor, log_rest_N: Tensor, targets: SparseTargets, loss: Loss
) -> CoarseSlope:
    """The loss of every token and its gradient on kept tokens and ghost.

    Shapes: the student's log-probabilities of the kept tokens (N, K) and of all others together.
    Units: nats per token (tvd: probability).
    Source: distill.losses.spec.SPECS.
    """
    coarse = _coarse(logq_NK, log_rest_N, targets, loss.temperature)
    value_N, dz_NC = DENSE[loss.kind][1](coarse.logq_NC, coarse.logp_NC, loss)
    dz_NK = dz_NC[:, :-1]
    if targets.keep_NK is not None:
        dz_NK = dz_NK * targets.keep_NK
    return CoarseSlope(value_N, dz_NK, dz_NC[:, -1:])


def _inside(targets: SparseTargets, like_NV: Tensor) -> Tensor:
    """Which tokens are kept. Entries that do not count may name any token, one twice too."""
    ones_NK = torch.ones_like(targets.ids_NK) if targets.keep_NK is None else targets.keep_NK
    counts_NV = torch.zeros_like(like_NV, dtype=torch.int8)
    return counts_NV.scatter_reduce_(-1, targets.ids_NK, ones_NK.to(torch.int8), "amax").bool()


def _coarse(
    logq_NK: Tensor, log_rest_N: Tensor, targets: SparseTargets, temperature: float
) -> _Coarse:
    logp_NK, log_tail_N = targets.at(temperature)
    if targets.keep_NK is not None:
        logp_NK = logp_NK.masked_fill(~targets.keep_NK, FLOOR)
        logq_NK = logq_NK.masked_fill(~targets.keep_NK, FLOOR)
    # Where nothing is outside, a tail is what rounding left over.
    log_tail_N = log_tail_N.masked_fill(log_rest_N <= FLOOR / 2, FLOOR)
    logq_NC = torch.cat([logq_NK, log_rest_N[:, None]], dim=-1)
    logp_NC = torch.cat([logp_NK, log_tail_N[:, None]], dim=-1).to(logq_NC.dtype)
    return _Coarse(logq_NC.clamp(min=FLOOR), logp_NC.clamp(min=FLOOR))
