"""What a judge must beat: the commonest verdict, a guess, the longer answer, and people."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distill.judge.chance import chance_line
from distill.judge.labels import majority
from distill.judge.paths import cell
from distill.judge.resample import Resampler
from distill.judge.rows import JudgeData, JudgeRow, Value
from distill.measure.intervals import Figure, nothing, proportion

ABSOLUTE = "only pairs have a longer answer"
FIRST = "only pairs have a first answer"


def reference_lines(
    data: JudgeData, rows: Sequence[JudgeRow], teacher: str | None, seed: int
) -> dict[str, Any]:
    """Accuracy of the trivial judges and of people, on rows with gold.

    Args:
        data: What the rows come from.
        rows: Those with a gold verdict.
        teacher: Column of a teacher's verdicts, None where there is none.
        seed: Of the bootstrap.
    """
    pairs = data.kind == "pairwise"
    return {
        "majority": _accuracy(rows, _constant(rows), seed),
        "random": chance_line(data, rows),
        "first": _accuracy(rows, lambda _: "a", seed) if pairs else nothing(FIRST),
        "longer": _accuracy(rows, longer, seed) if pairs else nothing(ABSOLUTE),
        "longer_no_ties": _accuracy([r for r in rows if r.gold != "tie"], longer, seed)
        if pairs
        else nothing(ABSOLUTE),
        "human_human": human_human(data.rows, seed),
        "teacher_human": _teacher(data, rows, teacher, seed),
    }


def longer(row: JudgeRow) -> Value:
    """The answer with more characters; equal length is a tie."""
    first, second = (len(str(answer)) for answer in row.answers)
    return "tie" if first == second else "a" if first > second else "b"


def longer_preference(rows: Sequence[JudgeRow], chosen: Sequence[Value | None]) -> float | None:
    """How often the longer answer is chosen, among decided rows of unequal length."""
    found = [
        winner == longer(row)
        for row, winner in zip(rows, chosen, strict=True)
        if winner in ("a", "b") and longer(row) != "tie"
    ]
    return sum(found) / len(found) if found else None


MARKUP = re.compile(r"^\s*(?:[-*+]\s|\d+[.)]\s|#{1,6}\s)|\*\*[^*\n]+\*\*|```", re.MULTILINE)
"""A list item, a heading, bold words or a code fence of Markdown."""


def markup_preference(rows: Sequence[JudgeRow], chosen: Sequence[Value | None]) -> Figure:
    """How often the answer with Markdown is chosen, among decided rows where only one has it."""
    hits = []
    for row, winner in zip(rows, chosen, strict=True):
        first, second = (bool(MARKUP.search(str(answer))) for answer in row.answers)
        if winner in ("a", "b") and first != second:
            hits.append(winner == ("a" if first else "b"))
    return proportion(sum(hits), len(hits)) if hits else nothing("no decided pair differs in it")


def human_human(rows: Sequence[JudgeRow], seed: int) -> Figure:
    """Each rater against the majority of the others on the same row (leave one out)."""
    hits, groups = [], []
    for row in rows:
        given = {name: value for name, value in row.ratings.items() if value is not None}
        for name, value in given.items():
            rest = majority([other for key, other in given.items() if key != name])
            if rest is not None:
                hits.append(value == rest)
                groups.append(row.instruction or row.id)
    if not hits:
        return nothing("no row has a majority beside one of its raters")
    return _share(hits, groups, seed)


def _constant(rows: Sequence[JudgeRow]) -> Callable[[JudgeRow], Value | None]:
    counts = Counter(row.gold for row in rows)
    value = min(counts, key=lambda gold: (-counts[gold], str(gold))) if counts else None
    return lambda _: value


def _teacher(data: JudgeData, rows: Sequence[JudgeRow], column: str | None, seed: int) -> Figure:
    if column is None:
        return nothing("no column of a teacher's verdicts was named")
    return _accuracy(rows, lambda row: data.lenient(cell(row.fields, column), row.fields), seed)


def _accuracy(
    rows: Sequence[JudgeRow], guess: Callable[[JudgeRow], Value | None], seed: int
) -> Figure:
    hits = [guess(row) == row.gold for row in rows]
    return _share(hits, [row.instruction or row.id for row in rows], seed)


def _share(hits: Sequence[bool], groups: Sequence[str], seed: int) -> Figure:
    import numpy as np

    array = np.asarray(hits, dtype=float)
    return Resampler(groups, seed).figure(lambda at: array[at].mean())


def slices(
    rows: Sequence[JudgeRow], right: Mapping[str, bool | None], seed: int
) -> list[dict[str, Any]]:
    """Accuracy (a failure is wrong) per slice and per gold verdict, the worst first."""
    members: dict[tuple[str, str], list[JudgeRow]] = {}
    for row in rows:
        for name, value in {**row.slices, "gold": _shown(row.gold)}.items():
            members.setdefault((name, value), []).append(row)
    found = []
    for (name, value), inside in members.items():
        groups = [row.instruction or row.id for row in inside]
        figure = _share([bool(right[row.id]) for row in inside], groups, seed)
        found.append({"slice": name, "value": value, "n": len(inside), "accuracy": figure})
    return sorted(
        found,
        key=lambda one: (one["accuracy"].value, -one["n"], one["slice"], one["value"]),
    )


def _shown(value: Value | None) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
