"""`raw`: four bytes for everything. Nothing is lost; what the other codecs are compared with."""

import numpy as np

from distill.signals.codecs.codec import Codec, Columns, Head, small_numbers, starts_of
from distill.signals.types import Sampled, TopK


def _write(signal: TopK | Sampled, vocabulary: int) -> bytes:
    start = small_numbers(signal.counts_N) + signal.gold_logp_N.astype("<f4").tobytes()
    start += signal.ids_E.astype("<i4").tobytes()
    if isinstance(signal, Sampled):
        counts = signal.counts_E.astype("<i4").tobytes()
        return start + np.array([signal.draws], "<i4").tobytes() + counts
    floats = (signal.logp_E, signal.log_tail_N, signal.log_tail_DN, signal.log_normalisers_DN)
    return start + b"".join(column.astype("<f4").tobytes() for column in floats)


def _read(columns: Columns, head: Head, kind: type[TopK] | type[Sampled]) -> TopK | Sampled:
    positions, shape = head.positions, (len(head.temperatures), head.positions)
    starts_M = starts_of(columns.counts(positions))
    gold_logp_N = columns.numbers("<f4", positions)
    entries = int(starts_M[-1])
    ids_E = columns.numbers("<i4", entries)
    if kind is Sampled:
        draws = int(columns.numbers("<i4", 1)[0])
        return Sampled(gold_logp_N, starts_M, ids_E, columns.numbers("<i4", entries), draws)
    logp_E, log_tail_N = columns.numbers("<f4", entries), columns.numbers("<f4", positions)
    tempered = [columns.numbers("<f4", shape[0] * shape[1]).reshape(shape) for _ in range(2)]
    return TopK(gold_logp_N, starts_M, ids_E, logp_E, log_tail_N, head.temperatures, *tempered)


RAW = Codec("raw", 1, frozenset({"token", "topk", "sampled"}), "<f4", _write, _read)
