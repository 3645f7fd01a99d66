"""Signals to bytes and back. A record says itself what it is: version, codec, kind, vocabulary.

A reader knows every number that was ever written; a codec whose bytes change gets a new number.
"""

import struct
from typing import Literal

import numpy as np

from distill.signals.codecs.codec import MAX_VOCABULARY, Codec, Columns, Head
from distill.signals.codecs.packed import PACKED
from distill.signals.codecs.raw import RAW
from distill.signals.codecs.sampled import SAMPLED
from distill.signals.codecs.set import SET
from distill.signals.types import Sampled, Signal, TextOnly, TokenLogp, TopK

__all__ = ["CODECS", "VERSION", "decode", "encode"]

VERSION = 1
CODECS: dict[str, Codec] = {codec.name: codec for codec in (RAW, PACKED, SET, SAMPLED)}

_HEAD = struct.Struct("<BBBBII")
_TEXT, _TOKEN, _TOP_K, _SAMPLED = range(4)
_KIND_NAMES: dict[int, Literal["token", "topk", "sampled"]] = {
    _TOKEN: "token",
    _TOP_K: "topk",
    _SAMPLED: "sampled",
}


def encode(signal: Signal, codec: str, vocabulary: int) -> bytes:
    """The record of a signal. A text-only signal is the same in every codec.

    Raises: ValueError when the codec does not hold this kind, or the vocabulary is too large.
    """
    if not 0 < vocabulary <= MAX_VOCABULARY:
        raise ValueError(f"a vocabulary of {vocabulary}; at most {MAX_VOCABULARY} is allowed")
    how, kind = CODECS[codec], _kind(signal)
    if kind in _KIND_NAMES and _KIND_NAMES[kind] not in how.kinds:
        raise ValueError(f"the codec {codec!r} does not hold {_KIND_NAMES[kind]!r} signals")
    temperatures = signal.temperatures if isinstance(signal, TopK) else ()
    head = _HEAD.pack(VERSION, how.number, kind, len(temperatures), signal.positions, vocabulary)
    return head + np.array(temperatures, "<f8").tobytes() + _body(signal, how, vocabulary)


def decode(record: bytes | memoryview) -> Signal:
    """The signal of a record.

    Raises: ValueError when it is not a record, or was written by a newer version.
    """
    columns = Columns(record)
    version, number, kind, degrees, positions, vocabulary = _HEAD.unpack(
        columns.bytes(_HEAD.size).tobytes()
    )
    how = next((codec for codec in CODECS.values() if codec.number == number), None)
    if version != VERSION or how is None:
        raise ValueError(f"a record of version {version}, codec {number}; this reads {VERSION}")
    temperatures = tuple(columns.numbers("<f8", degrees).tolist())
    if kind == _TEXT:
        size = int(columns.numbers("<u4", 1)[0])
        return TextOnly(positions, columns.bytes(size).tobytes().decode())
    if kind == _TOKEN:
        return TokenLogp(columns.numbers(how.small_float, positions).astype(np.float32))
    head = Head(positions, vocabulary, temperatures)
    return how.read(columns, head, Sampled if kind == _SAMPLED else TopK)


def _body(signal: Signal, how: Codec, vocabulary: int) -> bytes:
    if isinstance(signal, TextOnly):
        text = signal.reason.encode()
        return np.array([len(text)], "<u4").tobytes() + text
    if isinstance(signal, TokenLogp):
        return signal.gold_logp_N.astype(how.small_float).tobytes()
    return how.write(signal, vocabulary)


def _kind(signal: Signal) -> int:
    kinds = {TextOnly: _TEXT, TokenLogp: _TOKEN, TopK: _TOP_K, Sampled: _SAMPLED}
    return kinds[type(signal)]
