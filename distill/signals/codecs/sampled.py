"""`sampled`: drawn ids as a set, and how often each was drawn."""

import numpy as np

from distill.signals.codecs.codec import Codec, Columns, Head, small_numbers, starts_of
from distill.signals.codecs.elias_fano import read_sets, write_sets
from distill.signals.types import Sampled, TopK


def _write(signal: Sampled, vocabulary: int) -> bytes:
    return (
        np.array([signal.draws], "<u4").tobytes()
        + small_numbers(signal.counts_N)
        + signal.gold_logp_N.astype("<f2").tobytes()
        + write_sets(signal.ids_E, signal.counts_N, vocabulary)
        + small_numbers(signal.counts_E)
    )


def _read(columns: Columns, head: Head, kind: type[TopK] | type[Sampled]) -> Sampled:
    draws = int(columns.numbers("<u4", 1)[0])
    counts_N = columns.counts(head.positions)
    gold_logp_N = columns.numbers("<f2", head.positions).astype(np.float32)
    ids_E = read_sets(columns, counts_N, head.vocabulary)
    counts_E = columns.counts(len(ids_E)).astype(np.int32)
    return Sampled(gold_logp_N, starts_of(counts_N), ids_E, counts_E, draws)


SAMPLED = Codec("sampled", 4, frozenset({"token", "sampled"}), "<f2", _write, _read)
