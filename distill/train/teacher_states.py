"""The teacher's states for a batch: asked anew at every step, or read once and kept.

A small teacher is asked about each row once, before the first step, when the rows come back in
later steps and its states fit in memory. Its output layer is applied chunk by chunk where the loss
is, so its logits are never whole. The rows go through in an order and in batches of their own, so
that a continued training sees the very same numbers.
Shapes: B rows, T tokens, N supervised tokens, H hidden.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from distill.losses.fused_loss import DenseTargets, HeadTargets
from distill.signals.consistency import GoldLoss, refuse_ignorant
from distill.signals.dense import TokenTeacher
from distill.train.collate import IGNORED, Collator, EncodedRow, signalled, unpacked

MEMORY_BYTES = 512 * 2**20
BATCH_TOKENS = 4096
SAMPLE_ROWS = 16
CHUNK = 256
"""Positions whose logits are looked at together before the first step."""


class LiveTeacher:
    """Runs the teacher on every batch."""

    def __init__(self, teacher: TokenTeacher, width: int) -> None:
        self._teacher = teacher
        self.width = width

    @torch.no_grad()
    def added(self, targets: HeadTargets, inputs: Mapping[str, Tensor]) -> HeadTargets:
        """The targets with the teacher at the positions of rows that have a signal."""
        told = DenseTargets(_states(self._teacher, inputs), self._teacher.project)
        return _with(targets, inputs, told, self.width)


class RememberedTeacher:
    """Keeps the teacher's states of all rows, one after another."""

    def __init__(
        self,
        teacher: TokenTeacher,
        width: int,
        rows: Sequence[EncodedRow],
        collator: Collator,
        device: torch.device,
    ) -> None:
        self._teacher = teacher
        self.width = width
        self._places, self._states_NH = _read_all(teacher, rows, collator, device)

    @torch.no_grad()
    def added(self, targets: HeadTargets, inputs: Mapping[str, Tensor]) -> HeadTargets:
        """The targets with the teacher at the positions of rows that have a signal."""
        # A batch that only keeps other ranks company has keys but nothing supervised.
        chosen_B = ~inputs["text_only"] & (inputs["counts"] > 0)
        places = [self._places[key] for key in inputs["keys"][chosen_B].tolist()]
        ranges = [torch.arange(place.start, place.stop) for place in places]
        at_N = torch.cat([torch.zeros(0, dtype=torch.long), *ranges])
        states_NH = self._states_NH[at_N.to(self._states_NH.device)]
        told = DenseTargets(states_NH, self._teacher.project)
        return _with(targets, inputs, told, self.width)


@torch.no_grad()
def check_teacher(
    teacher: TokenTeacher,
    width: int,
    rows: Sequence[EncodedRow],
    device: torch.device,
    *,
    sample: int = SAMPLE_ROWS,
) -> GoldLoss:
    """The teacher's loss on the answers of some rows, spread over all of them.

    `width`: columns that stand for tokens of both vocabularies.
    Raises: RecipeError when it knows no more than a guess.
    """
    told = [row for row in rows if not row.text_only and row.supervised]
    sums, positions = 0.0, 0
    for row in told[:: max(1, len(told) // sample)]:
        inputs = {name: value.to(device) for name, value in Collator(0)([row]).items()}
        labels_N = inputs["labels"][0, 1:]
        labels_N = labels_N[labels_N != IGNORED]
        states_NH = _states(teacher, inputs)
        for start in range(0, len(labels_N), CHUNK):
            part, gold = states_NH[start : start + CHUNK], labels_N[start : start + CHUNK]
            logits_NV = teacher.project(part)[:, :width].float()
            sums += float(cross_entropy(logits_NV, gold.to(logits_NV.device), reduction="sum"))
            positions += len(gold)
    loss = GoldLoss(positions, sums / max(positions, 1), math.log(width))
    refuse_ignorant(str(getattr(teacher, "source", "the teacher")), loss)
    return loss


def teacher_states(
    teacher: TokenTeacher,
    width: int,
    rows: Sequence[EncodedRow],
    collator: Collator,
    device: torch.device,
    *,
    visits: int,
) -> LiveTeacher | RememberedTeacher:
    """The cheaper of the two ways, for rows that `visits` row readings go through."""
    learnt = sum(row.supervised for row in rows)
    one = one_state(teacher, device)
    if visits < 2 * len(rows) or learnt * one.shape[-1] * one.element_size() > MEMORY_BYTES:
        return LiveTeacher(teacher, width)
    return RememberedTeacher(teacher, width, rows, collator, device)


def one_state(teacher: TokenTeacher, device: torch.device) -> Tensor:
    """Hidden states of a text of one token, which tell their width and type: (1, 1, H)."""
    return teacher.hidden(torch.zeros(1, 1, dtype=torch.long, device=device), _one(device))


@torch.no_grad()
def _read_all(
    teacher: TokenTeacher, rows: Sequence[EncodedRow], collator: Collator, device: torch.device
) -> tuple[dict[int, range], Tensor]:
    order = sorted(rows, key=lambda row: (len(row.input_ids_T), row.key))
    places: dict[int, range] = {}
    parts, filled, start = [], 0, 0
    while start < len(order):
        size = max(1, BATCH_TOKENS // len(order[start].input_ids_T))
        batch = order[start : start + size]
        inputs = {name: value.to(device) for name, value in collator(batch).items()}
        parts.append(_states(teacher, inputs))
        for row in batch:
            places[row.key] = range(filled, filled + row.supervised)
            filled += row.supervised
        start += size
    return places, torch.cat(parts)


def _states(teacher: TokenTeacher, inputs: Mapping[str, Tensor]) -> Tensor:
    """One row to a line, so that the teacher never meets a packed one."""
    alone = unpacked(inputs, ~inputs["text_only"])
    keep_BT = alone["labels"][:, 1:] != IGNORED
    states_BTH = teacher.hidden(alone["input_ids"], alone["attention_mask"])
    return states_BTH[:, :-1][keep_BT]


def _with(
    targets: HeadTargets, inputs: Mapping[str, Tensor], told: DenseTargets, width: int
) -> HeadTargets:
    signal_N = signalled(inputs) if inputs["text_only"].any() else None
    return replace(targets, teacher=told, width=width, signal_N=signal_N)


def _one(device: torch.device) -> Tensor:
    return torch.ones(1, 1, dtype=torch.long, device=device)
