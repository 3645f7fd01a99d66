"""A cheap judge first, a dear one (or people) where it is not sure: live, or from recorded answers.

Confidence is the probability of the cheap judge's own verdict; a verdict without one, or that could
not be read, is always handed on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from distill.judge.results import Comparison, Grade
from distill.measure.intervals import Figure, nothing, proportion

STEPS = 10
"""Points of a curve beside the two ends: tenths of the rows handed on."""
T = TypeVar("T", Grade, Comparison)


class Judging(Protocol):
    """What a cascade asks of a judge."""

    async def agrade_batch(self, rows: Sequence[Mapping[str, Any]]) -> list[Grade]:
        """One grade per row."""
        ...

    async def acompare_batch(
        self, rows: Sequence[Mapping[str, Any]], *, swap: bool = True
    ) -> list[Comparison]:
        """One comparison per row."""
        ...


@dataclass(frozen=True, slots=True)
class Decided(Generic[T]):
    """A verdict and who gave it."""

    verdict: T
    confidence: float | None
    """Of the cheap judge."""
    by: str
    """small, teacher, or people: nobody has decided yet, the verdict is the cheap judge's."""


@dataclass(frozen=True, slots=True)
class Cascade:
    """Rows under the threshold go to the teacher; without one they are left for people."""

    small: Judging
    teacher: Judging | None
    threshold: float

    async def agrade_batch(self, rows: Sequence[Mapping[str, Any]]) -> list[Decided[Grade]]:
        """A grade per row."""
        found = await self.small.agrade_batch(rows)
        at = [place for place, one in enumerate(found) if not self._sure(confidence_of(one))]
        again = (
            await self.teacher.agrade_batch([rows[place] for place in at])
            if self.teacher and at
            else None
        )
        return self._decided(found, at, again)

    async def acompare_batch(
        self, rows: Sequence[Mapping[str, Any]], *, swap: bool = True
    ) -> list[Decided[Comparison]]:
        """A comparison per row."""
        found = await self.small.acompare_batch(rows, swap=swap)
        at = [place for place, one in enumerate(found) if not self._sure(confidence_of(one))]
        again = (
            await self.teacher.acompare_batch([rows[place] for place in at], swap=swap)
            if self.teacher and at
            else None
        )
        return self._decided(found, at, again)

    def _sure(self, confidence: float | None) -> bool:
        return confidence is not None and confidence >= self.threshold

    def _decided(
        self, found: Sequence[T], at: Sequence[int], again: Sequence[T] | None
    ) -> list[Decided[T]]:
        given: Sequence[T | None] = again or [None] * len(at)
        handed = dict(zip(at, given, strict=True))
        decided = []
        for place, one in enumerate(found):
            other = handed.get(place)
            by = "small" if place not in handed else "people" if other is None else "teacher"
            decided.append(Decided(other or one, confidence_of(one), by))
        return decided


def confidence_of(found: Grade | Comparison) -> float | None:
    """The probability of a verdict, by the judge that gave it; None where it tells none."""
    if isinstance(found, Grade):
        if found.score is None or found.probs is None:
            return None
        lower = {name.lower(): p for name, p in found.probs.items()}
        return lower.get(str(found.score).lower())
    if found.winner is None or found.p_a is None:
        return None
    if found.winner == "tie":  # orders that disagree, or a tie that was said: nobody is sure
        return min(found.p_a, 1 - found.p_a)
    return found.p_a if found.winner == "a" else 1 - found.p_a


def cascade_part(
    confidence: Sequence[float | None],
    small: Sequence[bool],
    teacher: Sequence[bool] | None,
    *,
    cost_small: float | None = None,
    cost_teacher: float | None = None,
) -> dict[str, Any] | None:
    """What a cascade would have cost and got right, over thresholds, from recorded answers.

    Args:
        confidence: Of the cheap system, one per row.
        small: Whether its answer is right.
        teacher: Whether the dear system's answer is right; None where people take the rest.
        cost_small: USD per 1,000 rows.
        cost_teacher: USD per 1,000 rows.

    Returns: to (teacher | people), small and teacher F, points [{threshold, handed, agreement F,
    kept_accuracy F, cost_per_1000}] from none handed on to all, best: the point that hands on
    least and agrees as often as the teacher alone (null with people). None where the cheap system
    tells no confidence.
    """
    known = sorted({p for p in confidence if p is not None})
    if not known or not small:
        return None
    cuts = sorted({known[min(len(known) - 1, round(len(known) * k / STEPS))] for k in range(STEPS)})
    points = [
        _point(cut, confidence, small, teacher, cost_small, cost_teacher)
        for cut in (0.0, *cuts, _above(known[-1]))
    ]
    points = [
        p for at, p in enumerate(points) if at == 0 or p["handed"] != points[at - 1]["handed"]
    ]
    alone = None if teacher is None else _share(teacher)
    best = None
    if alone is not None and alone.value is not None:
        best = next((p for p in points if p["agreement"]["value"] >= alone.value), points[-1])
    return {
        "to": "people" if teacher is None else "teacher",
        "n": len(small),
        "small": _share(small).as_dict(),
        "teacher": None if alone is None else alone.as_dict(),
        "points": points,
        "best": best,
    }


def _above(highest: float) -> float:
    """A threshold that nothing reaches."""
    return max(1.0, highest) + 1e-9


def _point(
    cut: float,
    confidence: Sequence[float | None],
    small: Sequence[bool],
    teacher: Sequence[bool] | None,
    cost_small: float | None,
    cost_teacher: float | None,
) -> dict[str, Any]:
    # At 0 nothing is handed on but what has no confidence at all.
    kept = [p is not None and p >= cut for p in confidence]
    handed = 1 - sum(kept) / len(kept)
    agreement = nothing("people decide the rest")
    if teacher is not None:
        right = [s if k else t for s, t, k in zip(small, teacher, kept, strict=True)]
        agreement = _share(right)
    own = [s for s, k in zip(small, kept, strict=True) if k]
    dear = cost_teacher if teacher is not None else 0.0
    cost = None if cost_small is None or dear is None else cost_small + handed * dear
    return {
        "threshold": cut,
        "handed": handed,
        "agreement": agreement.as_dict(),
        "kept_accuracy": _share(own).as_dict(),
        "cost_per_1000": cost,
    }


def _share(right: Sequence[bool]) -> Figure:
    return proportion(sum(right), len(right)) if right else nothing("every row is handed on")
