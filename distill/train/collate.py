"""Rows to batches: the order of the rows, the padding and the targets.

Shapes: B rows, T tokens. A target of -100 is not learnt; the shift by one happens in the trainer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset

from distill.rows.row import digest

IGNORED = -100


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One row as tensors."""

    id: str
    key: int
    """Its number among all rows of the training, validation included."""
    input_ids_T: Tensor
    labels_T: Tensor
    """The token where it is learnt, -100 elsewhere."""

    @property
    def supervised(self) -> int:
        """How many tokens are learnt."""
        return int((self.labels_T != IGNORED).sum())


class OrderedRows(Dataset[EncodedRow]):
    """Exactly `steps * batch` rows: one shuffle of all rows after another.

    The order is part of the data, so neither the number of processes nor the size of a micro-batch
    can change which rows an optimiser step sees, and every step is full.
    """

    def __init__(self, rows: Sequence[EncodedRow], *, steps: int, batch: int, seed: int) -> None:
        self._rows = rows
        self._length = steps * batch
        self._seed = seed
        self._shuffle: tuple[int, list[int]] = (-1, [])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: int) -> EncodedRow:
        """The row at this place of the whole training."""
        if not 0 <= at < self._length:
            raise IndexError(at)
        turn, place = divmod(at, len(self._rows))
        if self._shuffle[0] != turn:
            self._shuffle = (turn, self._order(turn))
        return self._rows[self._shuffle[1][place]]

    def tokens_of_steps(self, batch: int) -> list[int]:
        """How many tokens each optimiser step reads."""
        lengths = [len(self[at].input_ids_T) for at in range(self._length)]
        return [sum(lengths[at : at + batch]) for at in range(0, self._length, batch)]

    def supervised(self) -> int:
        """How many tokens are learnt over the whole training."""
        counts = {id(row): row.supervised for row in self._rows}
        return sum(counts[id(self[at])] for at in range(self._length))

    def _order(self, turn: int) -> list[int]:
        stream = torch.Generator().manual_seed(int(digest([self._seed, turn])[:15], 16))
        order: list[int] = torch.randperm(len(self._rows), generator=stream).tolist()
        return order


class Collator:
    """Pads rows on the right to the longest of the batch."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, rows: Sequence[EncodedRow]) -> dict[str, Tensor]:
        """Tensors (B, T): input_ids, attention_mask, labels; and (B): keys."""
        lengths = [len(row.input_ids_T) for row in rows]
        shape = (len(rows), max(lengths))
        input_ids_BT = torch.full(shape, self._pad_id, dtype=torch.long)
        labels_BT = torch.full(shape, IGNORED, dtype=torch.long)
        for at, (row, length) in enumerate(zip(rows, lengths, strict=True)):
            input_ids_BT[at, :length] = row.input_ids_T
            labels_BT[at, :length] = row.labels_T
        mask_BT = torch.arange(shape[1])[None] < torch.tensor(lengths)[:, None]
        return {
            "input_ids": input_ids_BT,
            "attention_mask": mask_BT.long(),
            "labels": labels_BT,
            "keys": torch.tensor([row.key for row in rows]),
        }
