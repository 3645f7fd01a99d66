"""Distillation and cross-entropy together: one softmax, two sums that stay apart.

weighted = sum(weight * KD over rows with a signal) + sum(ce * CE), where a row without a signal
gets CE with weight + ce. Nothing is divided here; the trainer alone divides, by the supervised
tokens of the whole optimiser step. Shapes: N tokens, M of them with a signal, V vocabulary.
"""

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor

from distill.losses import in_place
from distill.losses.core import blocks, form_of, log_probabilities
from distill.losses.targets import SparseTargets, Targets, rows_of
from distill.recipe.training import Loss


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the objective before its weight, over the tokens that have it."""

    sum: Tensor
    count: int


class Terms(NamedTuple):
    """The objective's sums over some tokens."""

    kd: Term
    ce: Term
    weighted: Tensor
    """What is minimised, not yet divided."""


class TermsAndGrad(NamedTuple):
    """The sums, and the gradient of the weighted one."""

    terms: Terms
    dz_NV: Tensor


def terms(
    student_logits_NV: Tensor,
    labels_N: Tensor,
    loss: Loss,
    targets: Targets | None = None,
    signal_N: Tensor | None = None,
    width: int | None = None,
    ce_N: Tensor | None = None,
) -> Terms:
    """Both terms of N supervised tokens, differentiable.

    `targets` has the rows where `signal_N` is True, in order; without `signal_N` it has all of
    them. `width` is the part of the vocabulary that student and teacher share (dense targets: as
    wide as these); beyond it are padding columns, which only cross-entropy sees. `ce_N` are
    cross-entropy's weights where they are not those of the rule above.
    Shapes: logits (N, V), labels (N,) token ids, signal (N,) bool, ce (N,).
    Units: nats, summed.
    Source: Hinton et al. 2015, arXiv:1503.02531, section 2, weights as written.
    """
    logq_NV = log_probabilities(student_logits_NV)
    text_N = -_at(logq_NV, labels_N)
    has_N = _has(labels_N, targets, signal_N)
    kd_M = text_N.new_zeros(0)
    if targets is not None:
        picked_MV = logq_NV if signal_N is None else logq_NV[has_N]
        form = form_of(targets, loss)
        kd_M = form.value(_narrowed(picked_MV, targets, loss, width), targets, loss)
    weight_N = _ce_weights(loss, has_N, text_N.dtype) if ce_N is None else ce_N
    weighted = loss.weight * kd_M.sum() + (weight_N * text_N).sum()
    return Terms(Term(kd_M.sum(), len(kd_M)), Term(text_N.sum(), len(text_N)), weighted)


def terms_and_grad(
    student_logits_NV: Tensor,
    labels_N: Tensor,
    loss: Loss,
    targets: Targets | None = None,
    signal_N: Tensor | None = None,
    width: int | None = None,
    ce_N: Tensor | None = None,
    out_NV: Tensor | None = None,
) -> TermsAndGrad:
    """Both terms and the gradient of the weighted sum with respect to the logits; no graph.

    Arguments as for `terms`; `out_NV` takes the gradient and may be the student's logits.
    Shapes: logits (N, V), returns sums and (N, V) float32 (float64 for float64 logits).
    Units: nats, summed.
    Source: as `terms`.
    """
    has_N = _has(labels_N, targets, signal_N)
    wide = torch.promote_types(student_logits_NV.dtype, torch.float32)
    dz_NV = torch.empty_like(student_logits_NV, dtype=wide) if out_NV is None else out_NV
    weight_N = _ce_weights(loss, has_N, wide) if ce_N is None else ce_N.to(wide)
    with torch.no_grad():
        if in_place.applies(targets, len(labels_N), loss):
            if dz_NV is not student_logits_NV:
                dz_NV.copy_(student_logits_NV)
            return _overwrite(dz_NV, labels_N, weight_N, has_N, targets, loss, width)
        assert targets is not None
        return _beside(student_logits_NV, dz_NV, labels_N, weight_N, has_N, targets, loss, width)


def _overwrite(
    z_NV: Tensor,
    labels_N: Tensor,
    weight_N: Tensor,
    has_N: Tensor,
    targets: in_place.Learnt,
    loss: Loss,
    width: int | None,
) -> TermsAndGrad:
    """Text, top-k targets, forward KL: the logits become the gradient."""
    all_N = in_place.on_all_rows(targets, has_N) if isinstance(targets, SparseTargets) else targets
    kd = ce = weighted = torch.zeros((), dtype=torch.float64, device=z_NV.device)
    for rows in blocks(z_NV, 1 if isinstance(targets, Tensor) else in_place.LARGER):
        some = None if all_N is None else cast("in_place.Learnt", rows_of(all_N, rows))
        kd_N, ce_N = in_place.logits_to_gradient(
            z_NV[rows], labels_N[rows], weight_N[rows], some, loss, width
        )
        kd, ce = kd + kd_N.sum(), ce + ce_N.sum()
        weighted = weighted + (weight_N[rows] * ce_N).sum() + loss.weight * kd_N.sum()
    return TermsAndGrad(Terms(Term(kd, int(has_N.sum())), Term(ce, len(labels_N)), weighted), z_NV)


def _beside(
    student_logits_NV: Tensor,
    dz_NV: Tensor,
    labels_N: Tensor,
    weight_N: Tensor,
    has_N: Tensor,
    targets: Targets,
    loss: Loss,
    width: int | None,
) -> TermsAndGrad:
    """Other targets: they want the log-softmax of all that the student knows."""
    kd = ce = weighted = torch.zeros((), dtype=torch.float64, device=dz_NV.device)
    before = [0, *has_N.cumsum(0).tolist()]
    for rows in blocks(student_logits_NV):
        logq_NV = log_probabilities(student_logits_NV[rows])
        text_N, weight_n = -_at(logq_NV, labels_N[rows]), weight_N[rows]
        grad_NV = logq_NV.exp().mul_(weight_n[:, None])
        grad_NV.scatter_add_(-1, labels_N[rows, None], -weight_n[:, None])
        ce, weighted = ce + text_N.sum(), weighted + (weight_n * text_N).sum()
        has_n, told = has_N[rows], slice(before[rows.start], before[rows.stop])
        some = rows_of(targets, told)
        picked_MV = logq_NV if told.stop - told.start == len(has_n) else logq_NV[has_n]
        kd_M = _add_kd(grad_NV, picked_MV, has_n, some, loss, width)
        kd, weighted = kd + kd_M.sum(), weighted + loss.weight * kd_M.sum()
        dz_NV[rows] = grad_NV
    found = Terms(Term(kd, before[-1]), Term(ce, len(labels_N)), weighted)
    return TermsAndGrad(found, dz_NV)


def _add_kd(
    grad_NV: Tensor,
    logq_MV: Tensor,
    has_N: Tensor,
    targets: Targets,
    loss: Loss,
    width: int | None,
) -> Tensor:
    """Adds the distillation term's gradient and returns its loss per token."""
    narrow_MV = _narrowed(logq_MV, targets, loss, width)
    found = form_of(targets, loss).slope(narrow_MV, targets, loss)
    scaled_MV = found.dz_NV.mul_(loss.weight / loss.temperature)
    columns = narrow_MV.shape[-1]
    if len(scaled_MV) == len(grad_NV):
        grad_NV[:, :columns] += scaled_MV
    else:
        grad_NV[has_N, :columns] += scaled_MV
    return found.value_N


def _narrowed(logq_MV: Tensor, targets: Targets, loss: Loss, width: int | None) -> Tensor:
    """The shared log-softmax itself, or what it becomes on fewer columns or at a temperature."""
    if width is None and isinstance(targets, Tensor):
        width = targets.shape[-1]
    if loss.temperature == 1 and width in (None, logq_MV.shape[-1]):
        return logq_MV
    # Log-probabilities are logits too: a second softmax only renormalises.
    return log_probabilities(logq_MV[:, :width], loss.temperature)


def _has(labels_N: Tensor, targets: Targets | None, signal_N: Tensor | None) -> Tensor:
    if targets is None:
        return torch.zeros_like(labels_N, dtype=torch.bool)
    return torch.ones_like(labels_N, dtype=torch.bool) if signal_N is None else signal_N


def _ce_weights(loss: Loss, has_N: Tensor, dtype: torch.dtype) -> Tensor:
    text_N = (~has_N).to(dtype)
    return loss.ce + loss.weight * text_N


def _at(logq_NV: Tensor, ids_N: Tensor) -> Tensor:
    return logq_NV.gather(-1, ids_N[:, None])[:, 0]
