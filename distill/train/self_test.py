"""Before the first step: is the loss inside the output layer that of the model's own logits?

A model may do more to its logits than its configuration says; training would then follow another
model's gradient without a word. The same holds for packed rows that a model's attention does not
keep apart. Shapes: B rows, L lines, T tokens, N tested positions, V vocabulary.
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
from distill.train.fused_head import head_terms, model_inputs

ROWS = 32
PACKED = 64
"""Tokens of the line that tells whether packed rows are kept apart."""
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
    given = (some.labels_N, some.loss, teacher, some.signal_N, some.width, some.ce_N)
    want = terms(logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32)), *given)
    limit = _tolerance(logits_NV)
    ours, theirs = float(found.weighted), float(want.weighted)
    scale = len(some.labels_N) + abs(theirs)
    if not abs(ours - theirs) <= limit * scale:
        raise _differs(model, ours / len(some.labels_N), theirs / len(some.labels_N))


@torch.no_grad()
def packing_test(model: Any, inputs: Mapping[str, Tensor], targets: HeadTargets) -> None:
    """Check that what stands before a packed row does not change it; every rank has to call it.

    The batch's first tokens are read as two packed rows, once more with other tokens in the first
    of them. The second one's loss must stay the same to the last bit, as must its computation.
    Batches that are not packed pass.
    Raises: RecipeError naming the attention that looks from one row into another.
    """
    ids_1T = inputs["input_ids"][:1, :PACKED]
    half = ids_1T.shape[1] // 2
    if "position_ids" not in inputs or half < 2:
        return
    at_T = torch.arange(ids_1T.shape[1], device=ids_1T.device)
    positions_1T = torch.where(at_T < half, at_T, at_T - half)[None]
    keep_1T = (at_T > half)[None, 1:]
    text = HeadTargets(ids_1T[:, 1:][keep_1T], targets.loss, keep_BT=keep_1T)
    lines = (ids_1T, torch.where(at_T < half, ids_1T[:, -1:], ids_1T))
    was_training = model.training
    model.eval()
    try:
        packed = ({"input_ids": line, "position_ids": positions_1T} for line in lines)
        before, after = (head_terms(model, given, text).ce for given in packed)
    finally:
        model.train(was_training)
    if not torch.equal(before, after):
        raise _leaks(model, float(before), float(after))


def _leaks(model: Any, before: float, after: float) -> RecipeError:
    config = getattr(getattr(model, "module", model), "config", None)
    kind = getattr(config, "model_type", "?")
    attention = getattr(config, "_attn_implementation", "?")
    problem = Problem(
        key="train.packing",
        found=f"packed rows see each other: other tokens before a row change its loss from "
        f"{before:.9g} to {after:.9g} ({kind}, attention {attention})",
        allowed="models whose attention follows the positions of packed rows",
        fix="Set train.packing: false.",
    )
    return RecipeError("this student cannot be trained on packed rows", [problem])


def _own_logits(model: Any, inputs: Mapping[str, Tensor], targets: HeadTargets) -> Tensor:
    """The model's own logits at the kept positions of one row: (N, V)."""
    if targets.keep_BT is None:
        raise ValueError("targets of a batch say which positions they are")
    at_N = targets.keep_BT[0].nonzero()[:, 0]
    given = model_inputs(inputs)
    try:
        found = model(**given, logits_to_keep=at_N).logits[0]
    except TypeError:  # an architecture that always gives all of them
        found = model(**given).logits[0]
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
        hidden=None,
        ce_N=None if targets.ce_N is None else targets.ce_N[:count],
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
