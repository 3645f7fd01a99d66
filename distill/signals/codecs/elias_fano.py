"""Sets of ids close to their entropy: low bits as they are, high bits as steps in a bit row.

Each set of n ids below V takes n * (2 + log2(V / n)) bits or a little less; the widths follow from
n and V, so nothing else is stored. Elias 1974, Fano 1971. E entries of N sets.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.signals.codecs.bits import packed, packed_size, unpacked
from distill.signals.codecs.codec import Columns, starts_of


def write_sets(ids_E: NDArray[Any], counts_N: NDArray[np.int64], vocabulary: int) -> bytes:
    """All sets; the ids ascend within a set."""
    low_N, size_N = _widths(counts_N, vocabulary)
    low_E = np.repeat(low_N, counts_N)
    ids_E = ids_E.astype(np.int64)
    lows = packed(ids_E & ((1 << low_E) - 1), low_E)
    region_E = np.repeat(np.cumsum(size_N) - size_N, counts_N)
    steps = np.zeros(int(size_N.sum()), np.uint8)
    steps[region_E + (ids_E >> low_E) + _rank(counts_N)] = 1
    return lows + np.packbits(steps, bitorder="little").tobytes()


def read_sets(columns: Columns, counts_N: NDArray[np.int64], vocabulary: int) -> NDArray[np.int32]:
    """The ids of all sets.

    Raises: ValueError when the record does not hold as many ids as it says.
    """
    low_N, size_N = _widths(counts_N, vocabulary)
    low_E = np.repeat(low_N, counts_N)
    low_bits, high_bits = int(low_E.sum()), int(size_N.sum())
    lows_E = unpacked(columns.bytes(packed_size(low_bits)), np.cumsum(low_E) - low_E, low_E)
    steps = np.unpackbits(columns.bytes(packed_size(high_bits)), count=high_bits, bitorder="little")
    ones_E = np.flatnonzero(steps)
    if len(ones_E) != len(low_E):
        raise ValueError("a record does not hold as many ids as it says")
    region_E = np.repeat(np.cumsum(size_N) - size_N, counts_N)
    high_E = ones_E - region_E - _rank(counts_N)
    return ((high_E << low_E) | lows_E).astype(np.int32)


def _widths(
    counts_N: NDArray[np.int64], vocabulary: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Low bits per id, and bits of the row of steps, of each set."""
    low_N = np.frexp(vocabulary // np.maximum(counts_N, 1))[1].astype(np.int64) - 1
    size_N = counts_N + ((vocabulary - 1) >> low_N) + 1
    return low_N, np.where(counts_N > 0, size_N, 0)


def _rank(counts_N: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.arange(int(counts_N.sum())) - np.repeat(starts_of(counts_N)[:-1], counts_N)
