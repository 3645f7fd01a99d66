"""The row: what every stage takes and gives. Plain data, joined by id, never by position."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from typing import Any, Literal

_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
_CHUNKS: Callable[[Any, int], Iterable[str]] = (
    # Made once: JSONEncoder.encode makes one for every call, which takes longer than a short row.
    c_make_encoder(None, _CANONICAL.default, encode_basestring, None, ":", ",", True, False, False)
    if c_make_encoder
    else lambda value, _: (_CANONICAL.encode(value),)
)

Status = Literal["accepted", "rejected", "failed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one filter, judge or person said of one row."""

    by: str
    """Name of the filter."""
    keep: bool
    reason: str | None = None
    """Short and countable ("too_short", "refusal"); None when kept."""
    score: float | None = None
    """The figure that a threshold was compared with: another threshold can be tried later."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a stage."""

    id: str
    fields: Mapping[str, Any]
    status: Status = "accepted"
    reason: str | None = None
    """Why it was rejected or failed."""
    score: float | None = None
    verdicts: tuple[Verdict, ...] = field(default=())


def canonical_json(value: Any) -> str:
    """JSON with sorted keys, no spaces and no needless escapes: equal data, equal bytes."""
    return "".join(_CHUNKS(value, 0))


def digest(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def row_id(seed: int, strategy: str, parents: tuple[str, ...], ordinal: int) -> str:
    """The id of a row: 16 hex characters that say what it came from, not when."""
    return digest([seed, strategy, list(parents), ordinal])[:16]
