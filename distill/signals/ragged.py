"""Signals of many positions joined and cut again: a teacher reads chunks, a cache holds rows."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from distill.signals.types import Sampled, Signal, TextOnly, TokenLogp, TopK

_S = TypeVar("_S", TokenLogp, TopK, Sampled)


def joined(parts: Sequence[_S]) -> _S:
    """One signal of all positions, in order; all parts are of one kind."""
    first = parts[0]
    gold_logp_N = np.concatenate([part.gold_logp_N for part in parts])
    if isinstance(first, TokenLogp):
        return TokenLogp(gold_logp_N)
    counts_N = np.concatenate([part.counts_N for part in parts])
    starts_M = np.concatenate([[0], np.cumsum(counts_N)]).astype(np.int64)
    ids_E = np.concatenate([part.ids_E for part in parts])
    if isinstance(first, Sampled):
        counts_E = np.concatenate([part.counts_E for part in parts])
        return Sampled(gold_logp_N, starts_M, ids_E, counts_E, first.draws)
    supports: Sequence[TopK] = parts
    return TopK(
        gold_logp_N,
        starts_M,
        ids_E,
        np.concatenate([part.logp_E for part in supports]),
        np.concatenate([part.log_tail_N for part in supports]),
        first.temperatures,
        np.concatenate([part.log_tail_DN for part in supports], axis=1),
        np.concatenate([part.log_normalisers_DN for part in supports], axis=1),
    )


def cut(signal: Signal, start: int, stop: int) -> Signal:
    """The positions from `start` up to `stop`."""
    if isinstance(signal, TextOnly):
        return TextOnly(stop - start, signal.reason)
    gold_logp_N = signal.gold_logp_N[start:stop]
    if isinstance(signal, TokenLogp):
        return TokenLogp(gold_logp_N)
    starts_M = signal.starts_M[start : stop + 1]
    entries = slice(int(starts_M[0]), int(starts_M[-1]))
    starts_M = starts_M - starts_M[0]
    ids_E = signal.ids_E[entries]
    if isinstance(signal, Sampled):
        return Sampled(gold_logp_N, starts_M, ids_E, signal.counts_E[entries], signal.draws)
    return TopK(
        gold_logp_N,
        starts_M,
        ids_E,
        signal.logp_E[entries],
        signal.log_tail_N[start:stop],
        signal.temperatures,
        signal.log_tail_DN[:, start:stop],
        signal.log_normalisers_DN[:, start:stop],
    )


def split(signal: Signal, sizes: Sequence[int]) -> list[Signal]:
    """The signal cut into parts of so many positions each."""
    ends = np.cumsum(sizes).tolist()
    return [cut(signal, end - size, end) for size, end in zip(sizes, ends, strict=True)]
