"""What a judge returns: typed, with a flag for what could not be read."""

from collections.abc import Mapping
from dataclasses import dataclass

from distill.judge.labels import SWAPPED, WINNERS, Winner


@dataclass(frozen=True, slots=True)
class Grade:
    """What a judge says of one answer."""

    score: int | str | None
    """None where it could not be read: never a number that nobody gave."""
    expected: float | None
    """Probability-weighted score, where the judge's token probabilities are known."""
    probs: Mapping[str, float] | None
    feedback: str
    parsed: bool
    raw: str
    tries: int
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    error: str | None = None
    """How the ask failed, where it did."""
    stored: bool = False
    """Every answer behind it came from the store."""
    truncated: bool | None = None
    """The model's own answer was cut off at the token limit; None where nothing was answered."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a judge says of two answers."""

    winner: Winner | None
    """About content. Orders that disagree make a tie; one that could not be read makes None."""
    p_a: float | None
    """Mean probability over the orders that a is better; a tie counts half."""
    order1: Winner | None
    order2: Winner | None
    """None too where only one order was asked."""
    consistent: bool | None
    feedback: str
    parsed: bool
    grades: tuple[Grade, ...]
    """The readings behind it, `ab` first; their scores name places, not content."""


def comparison(ab: Grade, ba: Grade | None) -> Comparison:
    """Two readings of one pair, the second with the answers swapped, as one verdict."""
    order1 = _winner(ab.score)
    order2 = None if ba is None else _swapped(_winner(ba.score))
    given = [order1] if ba is None else [order1, order2]
    parsed = None not in given
    same = order1 == order2 if ba is not None and parsed else None
    winner: Winner | None = None
    if parsed:
        winner = order1 if same is not False else "tie"
    p = [_p_a(ab.probs), None if ba is None else _flip(_p_a(ba.probs))]
    known = [value for value in p if value is not None]
    return Comparison(
        winner=winner,
        p_a=sum(known) / len(known) if known and len(known) == len(given) else None,
        order1=order1,
        order2=order2,
        consistent=same,
        feedback=ab.feedback,
        parsed=parsed,
        grades=(ab,) if ba is None else (ab, ba),
    )


def _winner(score: int | str | None) -> Winner | None:
    return next((winner for winner in WINNERS if winner == str(score).lower()), None)


def _swapped(winner: Winner | None) -> Winner | None:
    return None if winner is None else SWAPPED[winner]


def _p_a(probs: Mapping[str, float] | None) -> float | None:
    if probs is None:
        return None
    lower = {name.lower(): p for name, p in probs.items()}
    return lower.get("a", 0.0) + lower.get("tie", 0.0) / 2


def _flip(p: float | None) -> float | None:
    return None if p is None else 1 - p
