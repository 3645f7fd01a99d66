"""Gradients of text, of top-k targets and of forward KL, written over the student's logits.

None of them needs a log-softmax of the whole vocabulary: the gradient is the student's
probabilities times one number a row, less what is said of single tokens or the teacher's
probabilities. Shapes: N tokens, V vocabulary, K kept per token.
"""

from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor

from distill.losses import sparse
from distill.losses.targets import FLOOR, SparseTargets
from distill.recipe.training import Loss

LARGER = 4
"""Times the logits of other blocks, where a block has no copies."""

Learnt = Tensor | SparseTargets | None


class Values(NamedTuple):
    """Both terms per token, without their weights."""

    kd_N: Tensor
    ce_N: Tensor


def applies(targets: object, rows: int, loss: Loss) -> TypeGuard[Learnt]:
    """Whether these targets of that many rows are learnt this way.

    A softened student would be another softmax.
    """
    if targets is None:
        return True
    if isinstance(targets, Tensor):
        return loss.kind == "forward_kl" and loss.temperature == 1 and len(targets) == rows
    return isinstance(targets, SparseTargets) and loss.temperature == 1


def on_all_rows(targets: SparseTargets, has_N: Tensor) -> SparseTargets:
    """Targets of M rows as targets of all N; of the others they say nothing.

    Shapes: `has_N` has M True; returns targets of N rows.
    """
    if len(targets.ids_NK) == len(has_N):
        return targets

    def spread(given: Tensor, fill: float) -> Tensor:
        shape = (len(has_N), *given.shape[1:])
        return given.new_full(shape, fill).masked_scatter_(
            has_N.view(-1, *[1] * (given.ndim - 1)), given
        )

    keep_NK = targets.keep_NK
    if keep_NK is None:
        keep_NK = torch.ones_like(targets.ids_NK, dtype=torch.bool)
    return SparseTargets(
        ids_NK=spread(targets.ids_NK, 0),
        logp_NK=spread(targets.logp_NK, 0.0),
        log_tail_N=spread(targets.log_tail_N, 0.0),
        keep_NK=spread(keep_NK, False),
    )


def logits_to_gradient(
    z_NV: Tensor,
    labels_N: Tensor,
    weights_N: Tensor,
    targets: Learnt,
    loss: Loss,
    width: int | None = None,
) -> Values:
    """Both terms of every token; the logits become the gradient of their weighted sum.

    `weights_N` are those of cross-entropy. `width` is the part of the vocabulary that the targets
    speak of; cross-entropy sees all of it.
    Shapes: logits (N, V) float32 or float64, changed; labels, weights (N,).
    Units: nats per token (tvd: probability).
    Source: cross-entropy: q - e_y; forward KL: q - p; top-k: `distill.losses.sparse.slope`.
    """
    label_N1 = labels_N[:, None]
    top_N1 = z_NV.amax(dim=-1, keepdim=True)
    label_z_N1 = z_NV.gather(-1, label_N1)
    if targets is None:
        mass_N1 = z_NV.sub_(top_N1).exp_().sum(dim=-1, keepdim=True)
        z_NV.mul_(weights_N[:, None] / mass_N1)
        kd_N = z_NV.new_zeros(0)
    elif isinstance(targets, Tensor):
        kd_N, mass_N1 = _forward_kl(z_NV, top_N1, weights_N, targets, loss, width)
    else:
        kd_N, mass_N1 = _sparse(z_NV, top_N1, weights_N, targets, loss, width)
    z_NV.scatter_add_(-1, label_N1, -weights_N[:, None])
    return Values(kd_N, (mass_N1.log() + top_N1 - label_z_N1)[:, 0].clamp(max=-FLOOR))


def _forward_kl(
    z_NV: Tensor,
    top_N1: Tensor,
    weights_N: Tensor,
    teacher_NV: Tensor,
    loss: Loss,
    width: int | None,
) -> tuple[Tensor, Tensor]:
    """As `_sparse`, for a teacher's logits."""
    width = teacher_NV.shape[-1] if width is None else width
    known_NV, padding_NV = z_NV[:, :width], z_NV[:, width:]
    z_NV.sub_(top_N1).clamp_(min=FLOOR)
    theirs_NV = teacher_NV.to(z_NV.dtype)
    p_NV = (theirs_NV - theirs_NV.amax(dim=-1, keepdim=True)).clamp_(min=FLOOR)
    gap_NV = p_NV - known_NV
    z_NV.exp_()
    p_NV.exp_()
    known_N1, p_N1 = known_NV.sum(dim=-1, keepdim=True), p_NV.sum(dim=-1, keepdim=True)
    mass_N1 = known_N1 + padding_NV.sum(dim=-1, keepdim=True)
    gap_N1 = gap_NV.mul_(p_NV).sum(dim=-1, keepdim=True) / p_N1
    text_N1 = weights_N[:, None] / mass_N1
    known_NV.mul_(text_N1 + loss.weight / known_N1).addcmul_(p_NV, loss.weight / p_N1, value=-1)
    padding_NV.mul_(text_N1)
    return (gap_N1 + known_N1.log() - p_N1.log())[:, 0], mass_N1


def _sparse(
    z_NV: Tensor,
    top_N1: Tensor,
    weights_N: Tensor,
    targets: SparseTargets,
    loss: Loss,
    width: int | None,
) -> tuple[Tensor, Tensor]:
    """The distillation term, and the mass that the exponentials sum up to; all but the label's."""
    ids_NK, keep_NK = targets.ids_NK, targets.keep_NK
    known_NV, padding_NV = z_NV[:, :width], z_NV[:, z_NV.shape[-1] if width is None else width :]
    kept_z_NK = known_NV.gather(-1, ids_NK).sub_(top_N1)
    z_NV.sub_(top_N1).exp_()
    kept_NK = known_NV.gather(-1, ids_NK)
    if keep_NK is not None:
        kept_NK.mul_(keep_NK)
    # Taken away from itself: exactly 0, and entries that do not count may name any token.
    known_NV.scatter_add_(-1, ids_NK, -kept_NK)
    rest_N1 = known_NV.sum(dim=-1, keepdim=True)
    known_N1 = rest_N1 + kept_NK.sum(dim=-1, keepdim=True)
    mass_N1 = known_N1 + padding_NV.sum(dim=-1, keepdim=True)
    log_known_N1 = known_N1.log()
    logq_NK, log_rest_N = kept_z_NK.sub_(log_known_N1), (rest_N1.log() - log_known_N1)[:, 0]
    found = sparse.coarse_slope(logq_NK, log_rest_N, targets, loss)
    text_N1 = weights_N[:, None] / mass_N1
    per_mass_N1 = torch.where(rest_N1 > 0, loss.weight * found.dz_N1 / rest_N1, 0.0)
    known_NV.mul_(text_N1 + per_mass_N1)
    padding_NV.mul_(text_N1)
    known_NV.scatter_add_(-1, ids_NK, kept_NK.mul_(text_N1).add_(found.dz_NK, alpha=loss.weight))
    return found.value_N, mass_N1
