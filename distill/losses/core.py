"""The losses on rows of logits in float32 log-space, by autograd or with gradients written out.

Shapes: N tokens, V vocabulary (for `verdict`: the allowed answers, whose log-probabilities stand
where logits do). What each loss is stands in `distill.losses.spec`; `distill.losses.reference`
computes the same from explicit probabilities.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill.errors import RecipeError
from distill.losses import sampled, sparse, verdict
from distill.losses.dense import DENSE, Slope
from distill.losses.targets import (
    FLOOR,
    SampledTargets,
    SparseTargets,
    Targets,
    TokenTargets,
    VerdictTargets,
    rows_of,
)
from distill.recipe.training import Loss

BLOCK_ELEMENTS = {"cpu": 2**17}
"""Logits looked at together when gradients are written out: a block's few copies fit the cache."""
BLOCK_ELEMENTS_ELSEWHERE = 2**25


class Form(NamedTuple):
    """One loss on one kind of targets."""

    value: Callable[[Tensor, Any, Any], Tensor]
    """Student's log-probabilities, targets, loss -> loss per token; differentiable."""
    slope: Callable[[Tensor, Any, Any], Slope]
    """The same with the gradient with respect to logits at temperature 1; no autograd."""


def per_token_loss(student_logits_NV: Tensor, targets: Targets, loss: Loss) -> Tensor:
    """The distillation loss of every token, without its weight, differentiable.

    Shapes: logits (N, V); dense targets and their logits may be (..., V). Returns (N,) or (...)
    float32 (float64 for float64 logits).
    Units: nats per token (see the spec); not multiplied by temperature**2.
    Source: distill.losses.spec.SPECS.
    """
    logq_NV = log_probabilities(student_logits_NV, loss.temperature)
    return form_of(targets, loss).value(logq_NV, targets, loss)


def value_and_grad(
    student_logits_NV: Tensor, targets: Targets, loss: Loss, out_NV: Tensor | None = None
) -> Slope:
    """The loss of every token and the gradient of their sum; builds no graph.

    Needs a few blocks of rows beside its result, so nothing else of size (N, V). `out_NV` takes
    the gradient; it may be the student's logits themselves.
    Shapes: logits (N, V), returns (N,), (N, V) float32 (float64 for float64 logits).
    Units: nats per token (see the spec); not multiplied by temperature**2.
    Source: distill.losses.spec.SPECS.
    """
    form = form_of(targets, loss)
    wide = _wide(student_logits_NV.dtype)
    dz_NV = torch.empty_like(student_logits_NV, dtype=wide) if out_NV is None else out_NV
    value_N = torch.empty(len(dz_NV), dtype=wide, device=dz_NV.device)
    with torch.no_grad():
        for rows in blocks(student_logits_NV):
            logq_NV = log_probabilities(student_logits_NV[rows], loss.temperature)
            found = form.slope(logq_NV, rows_of(targets, rows), loss)
            value_N[rows] = found.value_N
            dz_NV[rows] = found.dz_NV.div_(loss.temperature)
    return Slope(value_N, dz_NV)


def form_of(targets: Targets, loss: Loss) -> Form:
    """How the loss is computed on such targets.

    Raises: RecipeError where the two do not go together.
    """
    forms = LOSSES[loss.kind]
    if type(targets) in forms:
        return forms[type(targets)]
    if isinstance(targets, Tensor) and Tensor in forms:
        return forms[Tensor]
    known = ", ".join(one.__name__ for one in forms)
    raise RecipeError(
        f"the loss {loss.kind} cannot be computed from {type(targets).__name__} (allowed: {known})"
    )


def log_probabilities(logits_NV: Tensor, temperature: float = 1.0) -> Tensor:
    """Log-softmax of the logits divided by the temperature, at least FLOOR.

    Shapes: (..., V), returns (..., V) float32 (float64 for float64 logits).
    Units: nats.
    Source: none; the floor lets columns that are -inf on both sides drop out.
    """
    wide_NV = logits_NV.to(_wide(logits_NV.dtype))
    if temperature != 1.0:
        wide_NV = wide_NV / temperature
    logp_NV = torch.log_softmax(wide_NV, dim=-1)
    return logp_NV.clamp(min=FLOOR) if logp_NV.requires_grad else logp_NV.clamp_(min=FLOOR)


def blocks(logits_NV: Tensor, larger: int = 1) -> Iterator[slice]:
    """Runs of rows, each small enough for several copies of it; `larger` times that."""
    rows, width = logits_NV.shape
    elements = larger * BLOCK_ELEMENTS.get(logits_NV.device.type, BLOCK_ELEMENTS_ELSEWHERE)
    # A softmax is shared out to threads by rows.
    step = max(torch.get_num_threads(), elements // max(1, width))
    for start in range(0, rows, step):
        yield slice(start, min(rows, start + step))


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _dense(kind: str) -> Form:
    value, slope = DENSE[kind]
    return Form(
        lambda logq, logits, loss: value(logq, log_probabilities(logits, loss.temperature), loss),
        lambda logq, logits, loss: slope(logq, log_probabilities(logits, loss.temperature), loss),
    )


_SPARSE = Form(sparse.value, sparse.slope)

LOSSES: dict[str, Mapping[type, Form]] = {
    "forward_kl": {
        Tensor: _dense("forward_kl"),
        SparseTargets: _SPARSE,
        SampledTargets: Form(sampled.forward_kl, sampled.forward_kl_slope),
    },
    "reverse_kl": {Tensor: _dense("reverse_kl")},
    "jsd": {Tensor: _dense("jsd")},
    "skew_kl": {Tensor: _dense("skew_kl"), SparseTargets: _SPARSE},
    "skew_reverse_kl": {Tensor: _dense("skew_reverse_kl")},
    "tvd": {Tensor: _dense("tvd"), SparseTargets: _SPARSE},
    "adaptive_kl": {Tensor: _dense("adaptive_kl")},
    "sampled_reverse_kl": {TokenTargets: Form(sampled.reverse_kl, sampled.reverse_kl_slope)},
    "verdict": {VerdictTargets: Form(verdict.value, verdict.slope)},
}
"""Kind -> kind of targets -> functions; the keys are those of SPECS, and a pair is missing where
`distill.recipe.loss_pairs` refuses it."""
