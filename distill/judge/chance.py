"""What a guess is worth: every allowed verdict is as likely, and none looks at the row."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.judge.labels import number_of
from distill.judge.rows import JudgeData, JudgeRow, Value
from distill.measure.intervals import nothing

MOST_VERDICTS = 101
"""Verdicts above which a scale is no list to guess from: it measures, it does not sort."""
NO_LIST = f"the scale has no list of verdicts, or one of more than {MOST_VERDICTS}"


def chance_line(data: JudgeData, rows: Sequence[JudgeRow]) -> dict[str, Any]:
    """The expected accuracy of a uniform guess, in closed form; the shape F with what it rests on.

    {value, low, high, n, over: the verdicts that are guessed from, why: that in words}; nothing is
    drawn, so both ends of the interval are the value. A gold verdict that is none of them (a score
    between two levels) is never guessed.
    """
    allowed = allowed_verdicts(data)
    if not rows or not allowed:
        return nothing(NO_LIST if rows else "no rows").as_dict() | {"over": None}
    value = sum(row.gold in allowed for row in rows) / (len(allowed) * len(rows))
    shown = [f"{one:g}" if isinstance(one, float) else one for one in allowed]
    why = f"expected of a uniform guess among {len(allowed)}: {_listed(shown)}"
    figure = {"value": value, "low": value, "high": value, "n": len(rows)}
    return {**figure, "over": list(allowed), "why": why}


def allowed_verdicts(data: JudgeData) -> list[Value]:
    """What a judge of these rows may say; empty where that is no list.

    The task's own where it is known. Else of pairs a and b, and a tie where any person said one; of
    scores the levels of the rubrics, or every whole number between the ends of what people gave.
    """
    if data.allowed:
        return list(data.allowed)
    given = {value for row in data.rows for value in (*row.ratings.values(), row.gold)} - {None}
    if data.kind == "pairwise":
        return ["a", "b", "tie"] if "tie" in given else ["a", "b"]
    scores = {value for value in given if isinstance(value, float)}
    levels = {level for row in data.rows for level in _levels(row)}
    if levels and scores <= levels:
        return sorted(levels)
    if scores and all(score.is_integer() for score in scores | levels):
        low, high = int(min(scores | levels)), int(max(scores | levels))
        if high - low < MOST_VERDICTS:
            return [float(score) for score in range(low, high + 1)]
    return []


def _levels(row: JudgeRow) -> list[float]:
    """The scores that a row's rubric describes."""
    rubric = row.fields.get("rubric")
    levels = rubric.get("levels") if isinstance(rubric, Mapping) else None
    numbers = [number_of(name) for name in levels] if isinstance(levels, Mapping) else []
    return [number for number in numbers if number is not None]


def _listed(shown: Sequence[str]) -> str:
    most = 7
    return ", ".join(shown if len(shown) <= most else [*shown[:2], "...", shown[-1]])
