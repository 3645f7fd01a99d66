"""What every codec is made of: columns written one after another and read back in that order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from distill.signals.types import Sampled, TopK

MAX_VOCABULARY = 1 << 24
"""Ids are read through 32-bit windows that start at any bit of a byte: 25 bits at most."""


class Columns:
    """Reads what lies one after another in a record."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = np.frombuffer(data, np.uint8)
        self._at = 0

    def bytes(self, size: int) -> NDArray[np.uint8]:
        """The next bytes.

        Raises: ValueError when the record ends before them.
        """
        if self._at + size > len(self._data):
            raise ValueError("a record is shorter than it says")
        found = self._data[self._at : self._at + size]
        self._at += size
        return found

    def numbers(self, kind: str, count: int) -> NDArray[Any]:
        """The next numbers of a numpy type."""
        size = np.dtype(kind).itemsize
        # A copy: numbers may start at any byte here, and tensors share only writable memory.
        return np.frombuffer(bytearray(self.bytes(size * count)), kind)

    def counts(self, count: int) -> NDArray[np.int64]:
        """The next small whole numbers, as `small_numbers` wrote them."""
        wide = int(self.bytes(1)[0])
        return self.numbers(f"<u{1 << wide}", count).astype(np.int64)


def small_numbers(values: NDArray[Any]) -> bytes:
    """Whole numbers in one, two or four bytes each, with a byte in front that says how many."""
    top = int(values.max(initial=0))
    wide = 0 if top < 1 << 8 else 1 if top < 1 << 16 else 2
    return bytes([wide]) + values.astype(f"<u{1 << wide}").tobytes()


def starts_of(counts_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each position's entries start, and the end of the last: (N + 1)."""
    return np.concatenate([[0], np.cumsum(counts_N)]).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a record says."""

    positions: int
    vocabulary: int
    temperatures: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to write signals; `number` stands in every record and is never used again."""

    name: str
    number: int
    kinds: frozenset[Literal["token", "topk", "sampled"]]
    small_float: str
    """numpy type of the log-probabilities of written tokens."""
    write: Callable[[Any, int], bytes]
    """(signal, vocabulary) to the body of a record."""
    read: Callable[[Columns, Head, type[TopK] | type[Sampled]], TopK | Sampled]
