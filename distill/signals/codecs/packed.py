"""`packed`: ids in as many bits as the vocabulary needs, a byte per value."""

import numpy as np

from distill.signals.codecs.bits import bits_for, packed, packed_size, unpacked
from distill.signals.codecs.codec import Codec, Columns, Head
from distill.signals.codecs.values import read_around, read_values, write_around, write_values
from distill.signals.types import Sampled, TopK


def _write(signal: TopK, vocabulary: int) -> bytes:
    widths_E = np.full(len(signal.ids_E), bits_for(vocabulary))
    return write_around(signal) + packed(signal.ids_E, widths_E) + write_values(signal)


def _read(columns: Columns, head: Head, kind: type[TopK] | type[Sampled]) -> TopK:
    around = read_around(columns, head)
    width, entries = bits_for(head.vocabulary), int(around[0].sum())
    data = columns.bytes(packed_size(width * entries))
    ids_E = unpacked(data, np.arange(entries) * width, width).astype(np.int32)
    return read_values(columns, head, around, ids_E)


PACKED = Codec("packed", 2, frozenset({"token", "topk"}), "<f2", _write, _read)
