"""The objective of supervised rows straight from hidden states: never more logits than one chunk.

Output layer, loss and closed-form gradient go chunk by chunk. Logits = sum of x W^T over the parts
of the output layer (the layer itself, then low-rank additions) + bias, scaled and capped.
Shapes: N rows, n rows of a chunk, H hidden, V vocabulary, M rows with a signal.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from distill.losses.core import blocks
from distill.losses.objective import Terms, terms, terms_and_grad
from distill.losses.products import factor, product, wide_type
from distill.losses.targets import Targets, rows_of
from distill.recipe.training import HiddenMatch, Loss

BUDGET_BYTES = {"cpu": 512 * 2**20}
BUDGET_BYTES_ELSEWHERE = 2**30
CHUNK_ROWS = {"cpu": 512}
"""More rows make a matrix product no faster."""
CHUNK_ROWS_ELSEWHERE = 4096
BUFFERS = 3
"""Chunks of logits alive at once: student's, teacher's, and the gradient behind a soft cap."""
KEEP_BYTES = 256 * 2**20
"""The largest weight gradient that waits from forward to backward pass unless told otherwise."""


@dataclass(frozen=True, slots=True)
class DenseTargets:
    """A teacher that knows every token: the states in front of its output layer, and that layer."""

    hidden_MH: Tensor
    project: Callable[[Tensor], Tensor]
    """(n, H) to logits (n, V'); asked for one chunk at a time."""


@dataclass(frozen=True, slots=True)
class HeadTargets:
    """What is to be learnt at N positions."""

    labels_N: Tensor
    loss: Loss
    teacher: DenseTargets | Targets | None = None
    signal_N: Tensor | None = None
    """Which rows the teacher speaks of; absent: all, if there is a teacher."""
    width: int | None = None
    """Columns that stand for tokens of both vocabularies; padding lies behind them."""
    keep_BT: Tensor | None = None
    """Which positions of a batch the rows are, its last column left out; for the caller."""
    ce_N: Tensor | None = None
    """Weights of cross-entropy; absent: ce, and weight + ce where the teacher is silent."""
    hidden: HiddenMatch | None = None
    """How the states of a dense teacher are matched; for the caller."""


@dataclass(frozen=True, slots=True)
class FusedPlan:
    """How the rows are walked, and what the model does to its logits."""

    schedule: Literal["auto", "forward", "recompute"] = "auto"
    """`forward` works gradients out in the forward pass and holds them; `recompute` projects again
    in the backward pass; `auto` holds what is frozen or small."""
    budget_bytes: int | None = None
    """For chunks of logits; absent: by device."""
    scale: float = 1.0
    softcap: float | None = None
    """logits = softcap * tanh(scale * logits / softcap)."""


class FusedTerms(NamedTuple):
    """Sums over all rows; nothing is divided."""

    weighted: Tensor
    """What is minimised; the only one with a gradient."""
    kd: Tensor
    ce: Tensor
    hidden: Tensor | None = None
    """Distance of the hidden states, where they are matched."""


class Part(NamedTuple):
    """One summand x W^T of the logits."""

    x_NH: Tensor
    weight_VH: Tensor


def fused_loss(
    parts: Sequence[Part], bias_V: Tensor | None, targets: HeadTargets, plan: FusedPlan
) -> FusedTerms:
    """Both terms of N rows, with gradients for every part that wants them.

    Shapes: see Part; returns three scalars.
    Units: nats, summed.
    Source: distill.losses.objective.
    """
    parts = [Part(*part) for part in parts]
    with torch.autocast(parts[0].x_NH.device.type, enabled=False):
        # Inside a Function needs_input_grad stays true under no_grad, so the mode is read here.
        if not torch.is_grad_enabled():
            return _walk(parts, bias_V, targets, plan, None)
        flat = [tensor for part in parts for tensor in part]
        schedule = _schedule(parts[0].weight_VH, plan)
        found = _Fused.apply(targets, plan, schedule, bias_V, *flat)  # type: ignore[no-untyped-call]
        return FusedTerms(*found)


def token_logp(
    parts: Sequence[Part], bias_V: Tensor | None, ids_NK: Tensor, plan: FusedPlan
) -> Tensor:
    """Log q of some tokens at each row, with gradients for every part that wants them.

    Shapes: see Part; returns (N, K). The backward pass makes the logits again, chunk by chunk.
    Units: nats.
    Source: log-softmax; its gradient is e_y - q.
    """
    with torch.autocast(parts[0].x_NH.device.type, enabled=False):
        flat = [tensor for part in parts for tensor in part]
        found: Tensor = _TokenLogp.apply(ids_NK, plan, bias_V, *flat)  # type: ignore[no-untyped-call]
        return found


def chunk_rows(rows: int, width: int, plan: FusedPlan, like: Tensor) -> int:
    """How many rows go through at once: what the budget holds, in chunks of nearly equal size."""
    device = like.device.type
    budget = plan.budget_bytes or BUDGET_BYTES.get(device, BUDGET_BYTES_ELSEWHERE)
    most = budget // (width * wide_type(like).itemsize * BUFFERS)
    most = max(1, min(most, CHUNK_ROWS.get(device, CHUNK_ROWS_ELSEWHERE)))
    chunks = max(1, -(-rows // most))
    return max(1, -(-rows // chunks))


class _Gradients:
    """Gradients that are summed up chunk by chunk; None where none is wanted."""

    def __init__(self, parts: Sequence[Part], bias_V: Tensor | None, needs: Sequence[bool]) -> None:
        wide = wide_type(parts[0].x_NH)
        self.bias_V = None
        if bias_V is not None and needs[0]:
            self.bias_V = torch.zeros_like(bias_V, dtype=wide)
        self.x_NH = [
            torch.empty_like(part.x_NH) if need else None
            for part, need in zip(parts, needs[1::2], strict=True)
        ]
        # Written by the first chunk, so nothing needs to be zeroed before: it may be a gigabyte.
        self.weight_VH = [
            torch.empty_like(part.weight_VH, dtype=wide) if need else None
            for part, need in zip(parts, needs[2::2], strict=True)
        ]
        if not len(parts[0].x_NH):
            for dweight_VH in self.weight_VH:
                if dweight_VH is not None:
                    dweight_VH.zero_()

    def add(self, dz_NV: Tensor, rows: slice, parts: Sequence[Part]) -> None:
        """Take in one chunk."""
        if self.bias_V is not None:
            self.bias_V += dz_NV.sum(dim=0)
        for part, dx_NH, dweight_VH in zip(parts, self.x_NH, self.weight_VH, strict=True):
            if dx_NH is not None:
                dx_NH[rows] = product(dz_NV, part.weight_VH)
            if dweight_VH is not None:
                x_NH = part.x_NH[rows].to(dz_NV.dtype)
                dweight_VH.addmm_(dz_NV.t(), x_NH, beta=0 if rows.start == 0 else 1)

    def scaled(self, factor: Tensor, likes: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The gradients times a number, in place, in the order and types of a Function's inputs."""
        pairs = zip(self.x_NH, self.weight_VH, strict=True)
        flat = [self.bias_V, *(grad for pair in pairs for grad in pair)]
        return [
            None if grad is None or like is None else grad.mul_(factor).to(like.dtype)
            for grad, like in zip(flat, likes, strict=True)
        ]


class _Fused(torch.autograd.Function):
    """Inputs: targets, plan, schedule, bias, then x and weight of every part."""

    @staticmethod
    def forward(
        ctx: Any,
        targets: HeadTargets,
        plan: FusedPlan,
        schedule: str,
        bias_V: Tensor | None,
        *flat: Tensor,
    ) -> tuple[Tensor, ...]:
        parts, needs = _parts(flat), ctx.needs_input_grad[3:]
        ctx.targets, ctx.plan, ctx.gradients = targets, plan, None
        # Leaves are kept, not copied: under ZeRO-3 a weight is empty until backward gathers it.
        ctx.save_for_backward(bias_V, *flat)
        if schedule == "forward" and any(needs):
            ctx.gradients = _Gradients(parts, bias_V, needs)
        found = _walk(parts, bias_V, targets, plan, ctx.gradients)
        ctx.mark_non_differentiable(found.kd, found.ce)
        return tuple(found[:3])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, *_: Any) -> tuple[Any, ...]:
        bias_V, *flat = ctx.saved_tensors
        gradients = ctx.gradients
        ctx.gradients = None  # scaled in place: a second pass works them out again
        if gradients is None:
            parts = _parts(flat)
            gradients = _Gradients(parts, bias_V, ctx.needs_input_grad[3:])
            with torch.autocast(upstream.device.type, enabled=False):
                _walk(parts, bias_V, ctx.targets, ctx.plan, gradients)
        return (None, None, None, *gradients.scaled(upstream, [bias_V, *flat]))


class _TokenLogp(torch.autograd.Function):
    """Inputs: tokens, plan, bias, then x and weight of every part."""

    @staticmethod
    def forward(
        ctx: Any, ids_NK: Tensor, plan: FusedPlan, bias_V: Tensor | None, *flat: Tensor
    ) -> Tensor:
        ctx.plan = plan
        ctx.save_for_backward(ids_NK, bias_V, *flat)
        chunks = _logp_chunks(_parts(flat), bias_V, plan)
        found = [logq_NV.gather(-1, ids_NK[at]) for at, _, logq_NV in chunks]
        return (
            torch.cat(found) if found else flat[0].new_zeros(ids_NK.shape, dtype=wide_type(flat[0]))
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream_NK: Tensor) -> tuple[Any, ...]:
        ids_NK, bias_V, *flat = ctx.saved_tensors
        parts = _parts(flat)
        gradients = _Gradients(parts, bias_V, ctx.needs_input_grad[2:])
        with torch.autocast(upstream_NK.device.type, enabled=False):
            for at, z_NV, logq_NV in _logp_chunks(parts, bias_V, ctx.plan):
                up_NK = upstream_NK[at].to(logq_NV.dtype)
                dz_NV = logq_NV.exp_().mul_(-up_NK.sum(dim=-1, keepdim=True))
                dz_NV.scatter_add_(-1, ids_NK[at], up_NK)
                gradients.add(_before_transform(dz_NV, z_NV, ctx.plan), at, parts)
        one = torch.ones((), device=upstream_NK.device)
        return (None, None, *gradients.scaled(one, [bias_V, *flat]))


def _logp_chunks(
    parts: Sequence[Part], bias_V: Tensor | None, plan: FusedPlan
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Rows, logits and log-softmax of one chunk after another, in buffers that are used again."""
    wide, x_NH = wide_type(parts[0].x_NH), parts[0].x_NH
    ready = [Part(part.x_NH, factor(part.weight_VH, wide)) for part in parts]
    most = chunk_rows(len(x_NH), len(parts[0].weight_VH), plan, x_NH)
    buffer_NV = x_NH.new_empty(most, len(parts[0].weight_VH), dtype=wide)
    for at, _ in _chunks(len(x_NH), None, most):
        z_NV = _logits(ready, bias_V, at, buffer_NV, plan)
        yield at, z_NV, torch.log_softmax(z_NV, dim=-1)


@torch.no_grad()
def _walk(
    parts: Sequence[Part],
    bias_V: Tensor | None,
    targets: HeadTargets,
    plan: FusedPlan,
    gradients: _Gradients | None,
) -> FusedTerms:
    """The sums over all chunks; `gradients` takes what each of them adds."""
    wide, device = wide_type(parts[0].x_NH), parts[0].x_NH.device
    ready = [Part(part.x_NH, factor(part.weight_VH, wide)) for part in parts]
    rows, width = len(targets.labels_N), len(parts[0].weight_VH)
    most = chunk_rows(rows, width, plan, parts[0].x_NH)
    # One buffer for all chunks: fresh pages for each would cost as much as the softmax.
    buffer_NV = torch.empty(most, width, dtype=wide, device=device)
    sums_3 = torch.zeros(3, dtype=torch.float64, device=device)
    for at, told in _chunks(rows, targets.signal_N, most):
        sums_3 += _chunk(ready, bias_V, targets, plan, gradients, (at, told), buffer_NV)
    weighted, kd, ce = sums_3.unbind()
    return FusedTerms(weighted.to(wide), kd, ce)


def _chunk(
    parts: Sequence[Part],
    bias_V: Tensor | None,
    targets: HeadTargets,
    plan: FusedPlan,
    gradients: _Gradients | None,
    chunk: tuple[slice, slice],
    buffer_NV: Tensor,
) -> Tensor:
    """The three sums of one chunk. A function of its own, so that its logits go with it."""
    at, told = chunk
    z_NV = _logits(parts, bias_V, at, buffer_NV, plan)
    teacher = _teacher_rows(targets, told, z_NV)
    signal_N = None if targets.signal_N is None else targets.signal_N[at]
    if gradients is None:
        return _values(z_NV, targets, at, teacher, signal_N)
    found, dz_NV = terms_and_grad(
        z_NV,
        targets.labels_N[at],
        targets.loss,
        teacher,
        signal_N,
        targets.width,
        None if targets.ce_N is None else targets.ce_N[at],
        # Behind a cap the logits are needed after the gradient, else they make room for it.
        out_NV=z_NV if plan.softcap is None else None,
    )
    gradients.add(_before_transform(dz_NV, z_NV, plan), at, parts)
    return _three(found)


def _values(
    z_NV: Tensor,
    targets: HeadTargets,
    rows: slice,
    teacher: Targets | None,
    signal_N: Tensor | None,
) -> Tensor:
    """The three sums of one chunk, block by block like its gradient would be."""
    labels_N = targets.labels_N[rows]
    weights_N = None if targets.ce_N is None else targets.ce_N[rows]
    sums_3 = torch.zeros(3, dtype=torch.float64, device=z_NV.device)
    block = next(blocks(z_NV), slice(0, 1)).stop
    for at, told in _chunks(len(z_NV), signal_N, block):
        some = None if teacher is None else rows_of(teacher, told)
        signal_n = None if signal_N is None else signal_N[at]
        ce_n = None if weights_N is None else weights_N[at]
        given = (labels_N[at], targets.loss, some, signal_n, targets.width, ce_n)
        sums_3 += _three(terms(z_NV[at], *given))
    return sums_3


def _three(found: Terms) -> Tensor:
    return torch.stack([one.double() for one in (found.weighted, found.kd.sum, found.ce.sum)])


def _chunks(rows: int, signal_N: Tensor | None, most: int) -> Iterator[tuple[slice, slice]]:
    """Runs of rows, and which of the teacher's rows speak of them."""
    before = range(rows + 1) if signal_N is None else [0, *signal_N.cumsum(0).tolist()]
    for start in range(0, rows, most):
        stop = min(rows, start + most)
        yield slice(start, stop), slice(before[start], before[stop])


def _teacher_rows(targets: HeadTargets, told: slice, like_NV: Tensor) -> Targets | None:
    teacher = targets.teacher
    if not isinstance(teacher, DenseTargets):
        return None if teacher is None else rows_of(teacher, told)
    logits_NV = teacher.project(teacher.hidden_MH[told])[:, : targets.width]
    return logits_NV.to(like_NV)


def _logits(
    parts: Sequence[Part], bias_V: Tensor | None, rows: slice, buffer_NV: Tensor, plan: FusedPlan
) -> Tensor:
    z_NV = buffer_NV[: rows.stop - rows.start]
    first, *more = parts
    product(first.x_NH[rows], first.weight_VH.t(), z_NV)
    for part in more:
        z_NV += product(part.x_NH[rows], part.weight_VH.t())
    if bias_V is not None:
        z_NV += bias_V
    if plan.softcap is not None:
        return z_NV.mul_(plan.scale / plan.softcap).tanh_().mul_(plan.softcap)
    return z_NV if plan.scale == 1.0 else z_NV.mul_(plan.scale)


def _before_transform(dz_NV: Tensor, z_NV: Tensor, plan: FusedPlan) -> Tensor:
    """The gradient in front of scale and cap; uses up the logits behind them."""
    if plan.softcap is not None:
        dz_NV.mul_(z_NV.div_(plan.softcap).square_().neg_().add_(1.0))
    return dz_NV if plan.scale == 1.0 else dz_NV.mul_(plan.scale)


def _schedule(weight_VH: Tensor, plan: FusedPlan) -> str:
    if plan.schedule != "auto":
        return plan.schedule
    held = weight_VH.numel() * wide_type(weight_VH).itemsize if weight_VH.requires_grad else 0
    return "recompute" if held > KEEP_BYTES else "forward"


def _parts(flat: Sequence[Tensor]) -> list[Part]:
    return [Part(*pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
