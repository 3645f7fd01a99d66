"""Tables with a line per person: the lines of one pair, or one answer, are one row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from distill.judge.labels import majority
from distill.judge.paths import cell

if TYPE_CHECKING:
    from distill.judge.rows import JudgeRow


def by_pair(rows: Sequence["JudgeRow"], rater: str, *, named: bool) -> list["JudgeRow"]:
    """One row for all lines of one thing, its ratings by person, its gold their majority.

    A person who speaks of the same thing again, as of another turn of a conversation, starts
    another row.

    Args:
        rows: One per line, each with what one person said.
        rater: The column that says who.
        named: Whether equal ids mean one thing; else equal questions and answers do.
    """
    found: dict[Any, dict[str, Any]] = {}
    firsts: dict[Any, JudgeRow] = {}
    for row in rows:
        who = str(cell(row.fields, rater))
        same = row.id if named else (row.instruction, str(row.answers))
        again = 0
        while who in found.get((same, again), {}):
            again += 1
        found.setdefault((same, again), {})[who] = row.gold
        firsts.setdefault((same, again), row)
    ids = Counter(row.id for row in firsts.values())
    return [
        replace(
            row,
            id=row.id if ids[row.id] == 1 else f"{row.id}.{key[1]}",
            ratings=found[key],
            gold=majority(list(found[key].values())),
        )
        for key, row in firsts.items()
    ]
