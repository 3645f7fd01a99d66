"""Calls, tokens, money and time of generation, as intervals: from token counts, or from a pilot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BATCH_PRICE = 0.5
"""OpenAI's Batch API costs half (help centre, "Batch API FAQ")."""
BATCH_S = (3600.0, 86400.0)
"""A batch often ends within an hour and at the latest after a day (the same page)."""


@dataclass(frozen=True, slots=True)
class Span:
    """A quantity with the least and the most that it may be."""

    value: float
    low: float
    high: float

    def __mul__(self, other: "Span | float") -> "Span":
        by = other if isinstance(other, Span) else Span(other, other, other)
        return Span(self.value * by.value, self.low * by.low, self.high * by.high)

    def __add__(self, other: "Span") -> "Span":
        return Span(self.value + other.value, self.low + other.low, self.high + other.high)

    def as_dict(self, *, whole: bool = False) -> dict[str, float]:
        """The three figures; counts as whole numbers."""
        parts = {"value": self.value, "low": self.low, "high": self.high}
        return {name: round(part) if whole else part for name, part in parts.items()}


NOTHING = Span(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Load:
    """What one candidate asks of one teacher."""

    teacher: str
    calls: Span
    input_tokens: Span
    """Of all its calls together."""
    output_tokens: Span


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a teacher is asked."""

    concurrency: int
    price: tuple[float, float] | None
    """USD per million input and output tokens."""
    batch: bool
    """Whether it can be asked through a Batch API."""
    rpm: int | None = None
    tpm: int | None = None
    latency_s: float | None = None
    """Seconds that a call takes; known after a pilot."""


def estimate(
    candidates: Span, loads: Sequence[Load], terms: Mapping[str, Terms], levels: int
) -> dict[str, Any]:
    """The `calls`, `tokens`, `usd` and `seconds` of an estimate.

    Args:
        candidates: How many rows are filled.
        loads: Of one candidate, by teacher.
        terms: By teacher.
        levels: Asks of one row that wait for each other: a batch each.
    """
    calls = {load.teacher: load.calls * candidates for load in loads}
    tokens_in = {load.teacher: load.input_tokens * candidates for load in loads}
    tokens_out = {load.teacher: load.output_tokens * candidates for load in loads}
    usd = _usd(tokens_in, tokens_out, terms)
    batch = bool(loads) and all(terms[load.teacher].batch for load in loads)
    return {
        "calls": {
            **_sum(calls).as_dict(whole=True),
            "by_teacher": {name: span.as_dict(whole=True) for name, span in calls.items()},
        },
        "tokens": {
            "input": _sum(tokens_in).as_dict(whole=True),
            "output": _sum(tokens_out).as_dict(whole=True),
        },
        "usd": {
            "online": usd.as_dict() if usd else None,
            "batch": (usd * BATCH_PRICE).as_dict() if usd and batch else None,
        },
        "seconds": {
            "online": _online_s(calls, tokens_in, tokens_out, terms),
            "batch": {"value": levels * BATCH_S[0], "low": levels * BATCH_S[0],
                      "high": levels * BATCH_S[1]} if batch else None,
        },
    }  # fmt: skip


def _sum(spans: Mapping[str, Span]) -> Span:
    return sum(spans.values(), NOTHING)


def _usd(
    tokens_in: Mapping[str, Span], tokens_out: Mapping[str, Span], terms: Mapping[str, Terms]
) -> Span | None:
    """Money, None where a price is not known."""
    total = NOTHING
    for name in tokens_in:
        price = terms[name].price
        if price is None:
            return None
        total += tokens_in[name] * (price[0] / 1e6) + tokens_out[name] * (price[1] / 1e6)
    return total


def _online_s(
    calls: Mapping[str, Span],
    tokens_in: Mapping[str, Span],
    tokens_out: Mapping[str, Span],
    terms: Mapping[str, Terms],
) -> dict[str, float] | None:
    """Seconds of the slowest teacher; None where neither a latency nor a limit is known."""
    times = []
    for name, count in calls.items():
        asked = terms[name]
        if asked.latency_s is not None:
            times.append(count * (asked.latency_s / asked.concurrency))
        if asked.rpm is not None:
            times.append(count * (60.0 / asked.rpm))
        if asked.tpm is not None:
            times.append((tokens_in[name] + tokens_out[name]) * (60.0 / asked.tpm))
    known = {name for name, asked in terms.items() if asked.latency_s or asked.rpm or asked.tpm}
    if not times or not set(calls) <= known:
        return None
    return max(times, key=lambda span: span.value).as_dict()


def needed(accept: int | None, ceiling: int, kept: Span | None) -> Span:
    """How many candidates it takes.

    Args:
        accept: Rows wanted; None fills all of them.
        ceiling: Most candidates there can be.
        kept: Share of candidates that survives; None where it is not known.
    """
    if accept is None:
        return Span(ceiling, ceiling, ceiling)
    if kept is None:
        return Span(min(1.2 * accept, ceiling), min(accept, ceiling), ceiling)

    def for_(share: float) -> float:
        return min(ceiling, accept / share) if share > 0 else float(ceiling)

    return Span(for_(kept.value), for_(kept.high), for_(kept.low))


def tokens_of(text: str) -> Span:
    """Tokens of a text, roughly: tokenizers make one of about four bytes, of three to five."""
    size = len(text.encode())
    return Span(size / 4 + 8, size / 5 + 4, size / 3 + 12)
