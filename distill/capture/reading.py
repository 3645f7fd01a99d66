"""A local teacher read at the supervised positions of many rows, its head in chunks.

The state before a token predicts it, so position i of a row is read at i - 1: the one place where
signals are shifted. Shapes: B rows, T tokens, N positions, H hidden, V shared vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from distill.errors import DataError, Problem
from distill.signals.types import SignalRow
from teachers.local_model import BATCH_TOKENS, CPU_BATCH_TOKENS, LocalModel

_T = TypeVar("_T")
BUDGET_BYTES = 256 * 2**20
"""For logits and what is computed from them."""


class Limits(Protocol):
    """What of a teacher decides how rows are put together."""

    @property
    def source(self) -> str:
        """What it is called."""
        ...

    @property
    def context(self) -> int | None:
        """Tokens that it reads at most."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        ...


def batches(teacher: Limits, rows: Sequence[SignalRow]) -> Iterator[list[SignalRow]]:
    """The rows, similar lengths together, each batch within what one forward pass should read.

    Raises: DataError naming a row that the teacher's context does not hold.
    """
    # All rows before the first batch: an hour's capture must not end on the last one.
    for row in rows:
        if teacher.context is not None and len(row.ids_T) > teacher.context:
            raise _too_long(teacher, row)
    limit = CPU_BATCH_TOKENS if teacher.device.type == "cpu" else BATCH_TOKENS
    batch: list[SignalRow] = []
    for row in sorted(rows, key=lambda one: (len(one.ids_T), one.id)):
        if batch and len(row.ids_T) * (len(batch) + 1) > limit:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@torch.no_grad()
def read_chunks(
    teacher: LocalModel,
    batch: Sequence[SignalRow],
    width: int,
    positions: int,
    use: Callable[[Tensor, Tensor, slice], _T],
) -> list[_T]:
    """What `use` makes of every chunk's logits (N, V), written tokens (N) and place in the batch.

    No tensor is larger than `positions` rows of logits; columns beyond `width` are padding.
    """
    states_NH = states(teacher, batch)
    gold_N = torch.from_numpy(np.concatenate([row.gold_N for row in batch]).astype(np.int64))
    gold_N = gold_N.to(states_NH.device)
    out = []
    for start in range(0, len(gold_N), positions):
        place = slice(start, min(start + positions, len(gold_N)))
        logits_NV = teacher.project(states_NH[place])[:, :width]
        out.append(use(logits_NV, gold_N[place], place))
    return out


@torch.no_grad()
def states(teacher: LocalModel, batch: Sequence[SignalRow]) -> Tensor:
    """The states that predict the supervised tokens of the rows, one row after another: (N, H)."""
    lengths = [len(row.ids_T) for row in batch]
    ids_BT = np.zeros((len(batch), max(lengths)), np.int64)
    for at, row in enumerate(batch):
        ids_BT[at, : lengths[at]] = row.ids_T
    mask_BT = (np.arange(max(lengths))[None] < np.array(lengths)[:, None]).astype(np.int64)
    at_row = np.repeat(np.arange(len(batch)), [len(row.positions_N) for row in batch])
    before = np.concatenate([row.positions_N for row in batch]) - 1
    device = teacher.device
    states_BTH = teacher.hidden(
        torch.from_numpy(ids_BT).to(device), torch.from_numpy(mask_BT).to(device)
    )
    where = torch.from_numpy(at_row), torch.from_numpy(before.astype(np.int64))
    return states_BTH[where[0].to(states_BTH.device), where[1].to(states_BTH.device)]


def _too_long(teacher: Limits, row: SignalRow) -> DataError:
    problem = Problem(
        key=row.id,
        found=f"row {row.id} has {len(row.ids_T)} tokens; {teacher.source} reads {teacher.context}",
        fix="Set train.max_length to what the teacher reads.",
    )
    return DataError(str(problem), [problem])
