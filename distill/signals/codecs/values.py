"""Log-probabilities of a support in one byte each, and the columns around them.

A byte holds the square root of the distance from the largest one, scaled to the position's range:
fine steps where the mass is. The largest itself is not stored, it follows from the tail: support
and tail sum to 1 after reading. At a temperature the tail is stored and the normaliser follows.
"""

import numpy as np
from numpy.typing import NDArray

from distill.signals.codecs.codec import Columns, Head, small_numbers, starts_of
from distill.signals.log_mass import log1mexp, renormalised
from distill.signals.types import Floats, Ints, TopK, log_normalisers

LEVELS = 255
WIDEST = 60_000.0
"""Of a range, in nats: what a half-precision number can hold."""


def write_around(signal: TopK) -> bytes:
    """All but ids and values: 5 bytes per position, 2 more per temperature."""
    tempered = signal.log_tail_DN.reshape(len(signal.temperatures), signal.positions)
    tails = np.concatenate([signal.log_tail_N[None], tempered])
    return (
        small_numbers(signal.counts_N)
        + signal.gold_logp_N.astype("<f2").tobytes()
        + tails.astype("<f2").tobytes()
    )


def write_values(signal: TopK) -> bytes:
    """The range of each position and a byte per entry."""
    counts_N = signal.counts_N
    used_N = counts_N > 0
    first = signal.starts_M[:-1][used_N]
    top_N, range_N = np.zeros((2, len(counts_N)), np.float32)
    if used_N.any():
        top_N[used_N] = np.maximum.reduceat(signal.logp_E, first)
        range_N[used_N] = top_N[used_N] - np.minimum.reduceat(signal.logp_E, first)
    stored_N = np.minimum(range_N, WIDEST).astype("<f2")
    scale_E = np.repeat(np.maximum(stored_N.astype(np.float32), 1e-30), counts_N)
    share_E = np.clip((np.repeat(top_N, counts_N) - signal.logp_E) / scale_E, 0, 1)
    levels_E = np.rint(LEVELS * np.sqrt(share_E)).astype(np.uint8)
    return bytes(stored_N.tobytes() + levels_E.tobytes())


def read_around(columns: Columns, head: Head) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Counts (N), log-probabilities of the written tokens (N), tails (1 + D, N)."""
    positions, rows = head.positions, 1 + len(head.temperatures)
    counts_N = columns.counts(positions)
    gold_logp_N = columns.numbers("<f2", positions).astype(np.float32)
    tails = columns.numbers("<f2", positions * rows).astype(np.float32)
    return counts_N, gold_logp_N, tails.reshape(rows, positions)


def read_values(
    columns: Columns,
    head: Head,
    around: tuple[NDArray[np.int64], Floats, Floats],
    ids_E: Ints,
) -> TopK:
    """The whole signal, its support and tail summing to 1 at every temperature."""
    counts_N, gold_logp_N, tails = around
    starts_M = starts_of(counts_N)
    range_N = columns.numbers("<f2", head.positions).astype(np.float32)
    squares = (np.arange(LEVELS + 1, dtype=np.float32) / LEVELS) ** 2
    levels_E = columns.bytes(int(starts_M[-1]))
    below_E = -squares[levels_E] * np.repeat(range_N, counts_N)
    logp_E = renormalised(below_E, starts_M, log1mexp(tails[0]))
    return TopK(
        gold_logp_N,
        starts_M,
        ids_E,
        logp_E,
        tails[0],
        head.temperatures,
        tails[1:],
        log_normalisers(logp_E, starts_M, head.temperatures, tails[1:]),
    )
