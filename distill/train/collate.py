"""Rows to batches: the order of the rows, the padding and the targets.

Shapes: B rows, L lines, T tokens, N supervised tokens. A target of -100 is not
learnt; the shift by one happens in the trainer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    """The token where it is learnt, -100 elsewhere; the first one never is."""
    text_only: bool = False
    """Learnt from its text alone, also where others have a signal."""

    @property
    def tokens(self) -> int:
        """How many tokens are read."""
        return len(self.input_ids_T)

    @property
    def supervised(self) -> int:
        """How many tokens are learnt."""
        return int((self.labels_T != IGNORED).sum())


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """Two answers to one prompt, of which the first is preferred."""

    id: str
    key: int
    chosen: EncodedRow
    rejected: EncodedRow

    @property
    def tokens(self) -> int:
        """How many tokens are read."""
        return self.chosen.tokens + self.rejected.tokens

    @property
    def supervised(self) -> int:
        """How many tokens the preference speaks of."""
        return self.chosen.supervised + self.rejected.supervised


Item = EncodedRow | EncodedPair


@dataclass(frozen=True, slots=True)
class Blend:
    """Other rows mixed in."""

    rows: Sequence[EncodedRow]
    share: float
    """Of all rows that are read."""


class OrderedRows(Dataset[Item]):
    """Exactly `steps * batch` rows: one shuffle of all rows after another.

    The order is part of the data, so neither the number of processes nor the size of a micro-batch
    can change which rows an optimiser step sees, and every step is full. Mixed-in rows are spread
    evenly, shuffled on their own, and keep to their share at every point of the training.
    """

    def __init__(
        self,
        rows: Sequence[Item],
        *,
        steps: int,
        batch: int,
        seed: int,
        blends: Sequence[Blend] = (),
    ) -> None:
        self._sources = [rows, *(blend.rows for blend in blends)]
        self._length = steps * batch
        self._seed = seed
        self._shuffles: dict[int, tuple[int, list[int]]] = {}
        self._turns = _turns(self._length, [blend.share for blend in blends])

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, at: int) -> Item:
        """The row at this place of the whole training."""
        if not 0 <= at < self._length:
            raise IndexError(at)
        source, number = self._turns[at]
        rows = self._sources[source]
        turn, place = divmod(number, len(rows))
        if self._shuffles.get(source, (-1, []))[0] != turn:
            self._shuffles[source] = (turn, self._order(source, turn))
        return rows[self._shuffles[source][1][place]]

    @property
    def own_rows(self) -> Sequence[Item]:
        """The rows without those that are mixed in."""
        return self._sources[0]

    def tokens_of_steps(self, batch: int) -> list[int]:
        """How many tokens each optimiser step reads."""
        lengths = [self[at].tokens for at in range(self._length)]
        return [sum(lengths[at : at + batch]) for at in range(0, self._length, batch)]

    def supervised(self, rows: int | None = None) -> int:
        """How many tokens are learnt over the whole training, or over its first so many rows."""
        counts = {id(row): row.supervised for source in self._sources for row in source}
        return sum(counts[id(self[at])] for at in range(self._length if rows is None else rows))

    def _order(self, source: int, turn: int) -> list[int]:
        words = [self._seed, turn, source] if source else [self._seed, turn]
        stream = torch.Generator().manual_seed(int(digest(words)[:15], 16))
        order: list[int] = torch.randperm(len(self._sources[source]), generator=stream).tolist()
        return order


def _turns(length: int, shares: Sequence[float]) -> list[tuple[int, int]]:
    """For every place which source it takes its row from, and that row's number in the source."""
    all_shares = [1 - sum(shares), *shares]
    given = [0] * len(all_shares)
    turns = []
    for at in range(length):
        owed = [share * (at + 1) - had for share, had in zip(all_shares, given, strict=True)]
        source = max(range(len(owed)), key=lambda one: owed[one])
        turns.append((source, given[source]))
        given[source] += 1
    return turns


class Collator:
    """Rows to one batch: each on a line of its own, padded on the right, or packed behind another.

    Packed rows are told apart by positions that start again at 0; there is no attention mask, so
    what a model makes of such a batch is checked before it is trained (`self_test`).
    """

    def __init__(self, pad_id: int, *, packing: bool = False, width: int | None = None) -> None:
        """`width`: most tokens of a packed line; absent: all rows of a batch on one line."""
        self._pad_id = pad_id
        self._packing = packing
        self._width = width

    def __call__(self, rows: Sequence[EncodedRow]) -> dict[str, Tensor]:
        """Tensors over L lines: input_ids, labels, attention_mask or position_ids (L, T).

        And over the B rows, in the order of their tokens: keys, lines, lengths, counts (supervised
        tokens), text_only.
        """
        lengths = [len(row.input_ids_T) for row in rows]
        lines, starts = self._places(lengths)
        ends = [start + length for start, length in zip(starts, lengths, strict=True)]
        shape = (lines[-1] + 1, max(ends))
        input_ids_LT = torch.full(shape, self._pad_id, dtype=torch.long)
        labels_LT = torch.full(shape, IGNORED, dtype=torch.long)
        positions_LT = torch.zeros(shape, dtype=torch.long)
        for row, line, start, end in zip(rows, lines, starts, ends, strict=True):
            input_ids_LT[line, start:end] = row.input_ids_T
            labels_LT[line, start:end] = row.labels_T
            # What stands before a row in its line must not predict it.
            labels_LT[line, start] = IGNORED
            positions_LT[line, start:end] = torch.arange(end - start)
        batch = {
            "input_ids": input_ids_LT,
            "labels": labels_LT,
            "keys": torch.tensor([row.key for row in rows]),
            "lines": torch.tensor(lines),
            "lengths": torch.tensor(lengths),
            "counts": torch.tensor([row.supervised for row in rows]),
            "text_only": torch.tensor([row.text_only for row in rows]),
        }
        if self._packing:
            return batch | {"position_ids": positions_LT}
        mask_LT = torch.arange(shape[1])[None] < torch.tensor(lengths)[:, None]
        return batch | {"attention_mask": mask_LT.long()}

    def _places(self, lengths: Sequence[int]) -> tuple[list[int], list[int]]:
        """Line and first place of every row; a packed line is closed when the next does not fit."""
        if not self._packing:
            return list(range(len(lengths))), [0] * len(lengths)
        lines, starts, line, filled = [], [], 0, 0
        for length in lengths:
            if self._width is not None and filled and filled + length > self._width:
                line, filled = line + 1, 0
            lines.append(line)
            starts.append(filled)
            filled += length
        return lines, starts


class PairCollator(Collator):
    """Pairs to one batch: the chosen answer, the rejected one, then the next pair's."""

    def __call__(self, rows: Sequence[Any]) -> dict[str, Tensor]:
        """As the base class, and `sides` over the rows: 0 chosen, 1 rejected, 2 mixed in."""
        flat: list[EncodedRow] = []
        sides: list[int] = []
        for row in rows:
            pair = isinstance(row, EncodedPair)
            flat += [row.chosen, row.rejected] if pair else [row]
            sides += [0, 1] if pair else [2]
        return super().__call__(flat) | {"sides": torch.tensor(sides)}


def signalled(batch: Mapping[str, Tensor]) -> Tensor:
    """Which supervised tokens belong to rows with a signal: (N,) bool."""
    return (~batch["text_only"]).repeat_interleave(batch["counts"])


def unpacked(batch: Mapping[str, Tensor], chosen_B: Tensor) -> dict[str, Tensor]:
    """Some rows of a batch, each on a line of its own; their tokens keep their order."""
    rows = chosen_B.nonzero()[:, 0]
    if "attention_mask" in batch:
        return {name: batch[name][rows] for name in ("input_ids", "attention_mask", "labels")}
    lengths_B, lines_B = batch["lengths"], batch["lines"]
    before_B = lengths_B.cumsum(0) - lengths_B
    first_B = torch.ones_like(lines_B, dtype=torch.bool)
    first_B[1:] = lines_B[1:] != lines_B[:-1]
    starts_B = before_B - before_B[first_B][lines_B]
    at_BT = torch.arange(int(lengths_B[rows].max()), device=lengths_B.device)[None]
    mask_BT = at_BT < lengths_B[rows, None]
    places_BT = (starts_B[rows, None] + at_BT).where(mask_BT, 0)
    lines_B1 = lines_B[rows, None]
    return {
        "input_ids": batch["input_ids"][lines_B1, places_BT],
        "attention_mask": mask_BT.long(),
        "labels": batch["labels"][lines_B1, places_BT].where(mask_BT, IGNORED),
    }
