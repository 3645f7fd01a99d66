"""Whole numbers of any width up to 25 bits, packed without gaps, little end first."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def bits_for(vocabulary: int) -> int:
    """How many bits an id of a vocabulary takes."""
    return max(1, (vocabulary - 1).bit_length())


def packed(values_E: NDArray[Any], widths_E: NDArray[np.int64]) -> bytes:
    """The values, each in as many bits as its width says."""
    starts_E = np.cumsum(widths_E) - widths_E
    place = np.arange(int(widths_E.sum())) - np.repeat(starts_E, widths_E)
    bits = (np.repeat(values_E.astype(np.uint32), widths_E) >> place.astype(np.uint32)) & 1
    return np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()


def unpacked(
    data: NDArray[np.uint8], offsets_E: NDArray[np.int64], widths_E: NDArray[np.int64] | int
) -> NDArray[np.uint32]:
    """The values of these widths that start at these bits."""
    padded = np.zeros(len(data) + 4, np.uint8)
    padded[: len(data)] = data
    windows = np.ndarray(len(data) + 1, "<u4", padded, strides=(1,))
    shift_E = (offsets_E & 7).astype(np.uint32)
    mask_E = (np.uint32(1) << np.asarray(widths_E, np.uint32)) - np.uint32(1)
    values_E: NDArray[np.uint32] = (windows[offsets_E >> 3] >> shift_E) & mask_E
    return values_E


def packed_size(bits: int) -> int:
    """Bytes that so many bits take."""
    return (bits + 7) // 8
