"""`set`: ids as a set, close to its entropy (10 % to 22 % fewer bytes than `packed`)."""

from distill.signals.codecs.codec import Codec, Columns, Head
from distill.signals.codecs.elias_fano import read_sets, write_sets
from distill.signals.codecs.values import read_around, read_values, write_around, write_values
from distill.signals.types import Sampled, TopK


def _write(signal: TopK, vocabulary: int) -> bytes:
    ids = write_sets(signal.ids_E, signal.counts_N, vocabulary)
    return write_around(signal) + ids + write_values(signal)


def _read(columns: Columns, head: Head, kind: type[TopK] | type[Sampled]) -> TopK:
    around = read_around(columns, head)
    ids_E = read_sets(columns, around[0], head.vocabulary)
    return read_values(columns, head, around, ids_E)


SET = Codec("set", 3, frozenset({"token", "topk"}), "<f2", _write, _read)
