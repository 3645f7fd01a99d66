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


def value(logq_NV: Tensor, targets: SparseTargets, loss: Loss) -> Tensor:
    """The loss of every token on kept tokens and ghost, differentiable.

    Shapes: log-probabilities (N, V), returns (N,).
    Units: nats per token (tvd: probability).
    Source: distill.losses.spec.SPECS.
    """
    inside_NV = _inside(targets, logq_NV)
    # A finite floor, not -inf: where nothing is outside, the gradient of logsumexp would be nan.
    log_rest_N = logq_NV.masked_fill(inside_NV, FLOOR).logsumexp(dim=-1)
    coarse = _coarse(logq_NV, log_rest_N, targets, loss.temperature)
    return DENSE[loss.kind][0](coarse.logq_NC, coarse.logp_NC, loss)


def slope(logq_NV: Tensor, targets: SparseTargets, loss: Loss) -> Slope:
    """The loss of every token and its gradient with respect to the logits at temperature 1.

    Outside the kept tokens the ghost's gradient is shared out in proportion to q.
    Shapes: log-probabilities (N, V), returns (N,), (N, V).
    Units: nats per token (tvd: probability).
    Source: distill.losses.spec.SPECS.
    """
    rest_NV = logq_NV.exp()
    if targets.keep_NK is None:
        rest_NV.scatter_(-1, targets.ids_NK, 0.0)
    else:  # an entry that does not count may name any token
        at_E, slot_E = targets.keep_NK.nonzero(as_tuple=True)
        rest_NV[at_E, targets.ids_NK[at_E, slot_E]] = 0.0
    rest_N = rest_NV.sum(dim=-1)
    coarse = _coarse(logq_NV, rest_N.log(), targets, loss.temperature)
    value_N, dz_NC = DENSE[loss.kind][1](coarse.logq_NC, coarse.logp_NC, loss)
    per_mass_N = torch.where(rest_N > 0, dz_NC[:, -1] / rest_N, 0.0)
    dz_NK = dz_NC[:, :-1]
    if targets.keep_NK is not None:
        dz_NK = dz_NK * targets.keep_NK
    return Slope(value_N, rest_NV.mul_(per_mass_N[:, None]).scatter_add_(-1, targets.ids_NK, dz_NK))


def _inside(targets: SparseTargets, like_NV: Tensor) -> Tensor:
    """Which tokens are kept. Entries that do not count may name any token, one twice too."""
    ones_NK = torch.ones_like(targets.ids_NK) if targets.keep_NK is None else targets.keep_NK
    counts_NV = torch.zeros_like(like_NV, dtype=torch.int8)
    return counts_NV.scatter_reduce_(-1, targets.ids_NK, ones_NK.to(torch.int8), "amax").bool()


def _coarse(
    logq_NV: Tensor, log_rest_N: Tensor, targets: SparseTargets, temperature: float
) -> _Coarse:
    logp_NK, log_tail_N = targets.at(temperature)
    logq_NK = logq_NV.gather(-1, targets.ids_NK)
    if targets.keep_NK is not None:
        logp_NK = logp_NK.masked_fill(~targets.keep_NK, FLOOR)
        logq_NK = logq_NK.masked_fill(~targets.keep_NK, FLOOR)
    # Where nothing is outside, a tail is what rounding left over.
    log_tail_N = log_tail_N.masked_fill(log_rest_N <= FLOOR / 2, FLOOR)
    logq_NC = torch.cat([logq_NK, log_rest_N[:, None]], dim=-1)
    logp_NC = torch.cat([logp_NK, log_tail_N[:, None]], dim=-1).to(logq_NC.dtype)
    return _Coarse(logq_NC.clamp(min=FLOOR), logp_NC.clamp(min=FLOOR))
