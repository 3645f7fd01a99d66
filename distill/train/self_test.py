"""Before the first step: is the loss inside the output layer that of the model's own logits?

A model may do more to its logits than its configuration says; training would then follow another
model's gradient without a word. Shapes: B rows, T tokens, N tested positions, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from distill.errors import Problem, RecipeError
from distill.losses.fused_loss import DenseTargets, HeadTargets
from distill.losses.objective import terms
from distill.losses.targets import rows_of
from distill.train.fused_head import head_terms

ROWS = 32
HALVES = (torch.bfloat16, torch.float16)
TOLERANCE = 1e-3
HALF_TOLERANCE = 0.05
"""Half-precision logits are rounded where the loss inside the output layer is not."""


@torch.no_grad()
def self_test(model: Any, inputs: Mapping[str, Tensor], targets: HeadTargets) -> None:
    """Compare both on up to 32 positions of the batch's first row; every rank has to call it.

    Raises: RecipeError when they differ.
    """
    one, some = _first_row(inputs, targets)
    was_training = model.training
    model.eval()
    try:
        logits_NV = _own_logits(model, one, some)
        found = head_terms(model, one, some)
    finally:
        model.train(was_training)
    teacher = some.teacher
    if isinstance(teacher, DenseTargets):
        logits = teacher.project(teacher.hidden_MH)[:, : some.width]
        teacher = logits.to(logits_NV.device, torch.promote_types(logits.dtype, torch.float32))
    given = (some.labels_N, some.loss, teacher, some.signal_N, some.width)
    want = terms(logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32)), *given)
    limit = _tolerance(logits_NV)
    ours, theirs = float(found.weighted), float(want.weighted)
    scale = len(some.labels_N) + abs(theirs)
    if not abs(ours - theirs) <= limit * scale:
        raise _differs(model, ours / len(some.labels_N), theirs / len(some.labels_N))


def _own_logits(model: Any, inputs: Mapping[str, Tensor], targets: HeadTargets) -> Tensor:
    """The model's own logits at the kept positions of one row: (N, V)."""
    if targets.keep_BT is None:
        raise ValueError("targets of a batch say which positions they are")
    at_N = targets.keep_BT[0].nonzero()[:, 0]
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    try:
        found = model(**given, use_cache=False, logits_to_keep=at_N).logits[0]
    except TypeError:  # an architecture that always gives all of them
        found = model(**given, use_cache=False).logits[0]
    logits_NV: Tensor = found if len(found) == len(at_N) else found[at_N]
    return logits_NV


def _tolerance(logits_NV: Tensor) -> float:
    """By precision: mixed precision hands bfloat16 results on as float32."""
    if any(logits_NV.to(half).to(logits_NV.dtype).equal(logits_NV) for half in HALVES):
        return HALF_TOLERANCE
    return 1e-9 if logits_NV.dtype == torch.float64 else TOLERANCE


def _first_row(
    inputs: Mapping[str, Tensor], targets: HeadTargets
) -> tuple[Mapping[str, Tensor], HeadTargets]:
    if targets.keep_BT is None:
        raise ValueError("targets of a batch say which positions they are")
    keep_1T = targets.keep_BT[:1].clone()
    keep_1T[0, keep_1T[0].nonzero()[ROWS:, 0]] = False
    count = int(keep_1T.sum())
    signal_N = None if targets.signal_N is None else targets.signal_N[:count]
    told = slice(0, count if signal_N is None else int(signal_N.sum()))
    teacher = targets.teacher
    if isinstance(teacher, DenseTargets):
        teacher = replace(teacher, hidden_MH=teacher.hidden_MH[told])
    elif teacher is not None:
        teacher = rows_of(teacher, told)
    some = replace(
        targets,
        labels_N=targets.labels_N[:count],
        teacher=teacher,
        signal_N=signal_N,
        keep_BT=keep_1T,
    )
    return {name: value[:1] for name, value in inputs.items()}, some


def _differs(model: Any, ours: float, theirs: float) -> RecipeError:
    config = getattr(model, "config", None)
    problem = Problem(
        key="student",
        found=f"the loss inside the output layer is {ours:.6g} nats per token, that of the model's "
        f"own logits {theirs:.6g}: this architecture ({getattr(config, 'model_type', '?')}) does "
        "something to its logits that is not known here",
        allowed="models whose logits are their output layer, scaled and capped as configured",
        fix="Train another student, or report the architecture.",
    )
    return RecipeError("the student's own logits give another loss", [problem])
