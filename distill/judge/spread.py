"""Whether a judge of scores uses its scale, and whether it ranks the answers to one question."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from distill.measure.intervals import Figure, nothing, proportion

LEAST = 20
"""Rows under which nothing is said of a collapse."""
SHARE = 0.5
"""Of people's entropy, under which a judge's scores have collapsed, mostly to one value. Ours."""


def spread(gold: Sequence[float], found: Sequence[float]) -> dict[str, Any]:
    """{judge, people, alarm}: bits of entropy of the scores, on the rows that were read.

    `alarm` is a sentence where the scores have collapsed, else None.
    """
    judge, people = entropy(found), entropy(gold)
    alarm = None
    if len(found) >= LEAST and people > 0 and judge < SHARE * people:
        alarm = f"The scores have collapsed: {judge:.2f} bits of entropy, people's {people:.2f}."
    return {"judge": judge, "people": people, "alarm": alarm}


def entropy(values: Sequence[float]) -> float:
    """In bits; 0 where all are the same, or there are none."""
    shares = [count / len(values) for count in Counter(values).values()]
    return abs(sum(share * math.log2(share) for share in shares))


def implied_order(
    questions: Sequence[str], gold: Sequence[float], found: Sequence[float]
) -> Figure:
    """Of two answers to one question that people scored apart: how often the better one is higher.

    Equal scores of the judge are wrong.
    """
    groups: dict[str, list[tuple[float, float]]] = {}
    for question, people, judge in zip(questions, gold, found, strict=True):
        groups.setdefault(question, []).append((people, judge))
    hits = [
        (one[0] - other[0]) * (one[1] - other[1]) > 0
        for inside in groups.values()
        for one, other in combinations(inside, 2)
        if one[0] != other[0]
    ]
    if not hits:
        return nothing("no question has two answers that people scored apart")
    return proportion(sum(hits), len(hits))


def questions_of(rows: Sequence[Any], read: Sequence[bool]) -> list[str]:
    """The question of every row that was read; a row without one stands alone."""
    return [row.instruction or row.id for row, ok in zip(rows, read, strict=True) if ok]
