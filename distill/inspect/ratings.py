"""Who rated what: from a column per rater, from one line per rating, or from vote counts."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import DataError, Problem, UsageError
from distill.inspect.sources import Item
from distill.inspect.texts import label_of

MISSING = frozenset({"", "NULL", "null", "NaN", "nan", "NA", "N/A", "n/a", "#N/A", "<NA>"})
"""Texts that stand for no rating unless --missing says otherwise."""
MOST_VOTES = 100_000
RATER = re.compile(
    r"(?:^|[_ .-])(?:worker|annotator|rater|coder|labell?er|evaluator|judge)"
    r"(?:[_ .-]?(?:id|name))?$",
    re.I,
)
"""Names of what holds the name of a rater."""
VOTE = frozenset({"label", "vote", "rating", "score", "answer", "value", "choice", "annotation"})
"""Names of what holds a rating, beside its rater."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How ratings stand in the file; all absent: a column per rater, or none."""

    unit: tuple[str, ...] = ()
    rater: str | None = None
    label: str | None = None
    votes: str | None = None
    missing: frozenset[str] = MISSING

    @property
    def long(self) -> bool:
        """Whether each line is one rating."""
        return bool(self.unit)

    @property
    def taken(self) -> tuple[str, ...]:
        """Columns that hold the ratings."""
        return tuple(name for name in (self.rater, self.label, self.votes) if name)


@dataclass(frozen=True, slots=True)
class Ratings:
    """What the raters of one field said."""

    field: str
    by_unit: Mapping[str, Mapping[str, str]]
    """Unit (the row's id, or the unit's columns) -> rater -> label, without what is missing."""
    missing: int
    """Ratings that are not there."""
    repeated: int = 0
    """Further ratings of one unit by one rater; the first counts."""
    anonymous: bool = False
    """Raters are not the same from unit to unit (vote counts)."""


def check_layout(layout: Layout, names: Sequence[str]) -> None:
    """Raises UsageError where flags do not fit each other or name columns that are not there."""
    problems = []
    given = {"--unit": bool(layout.unit), "--rater": layout.rater, "--label": layout.label}
    if any(given.values()) and not all(given.values()):
        absent = ", ".join(flag for flag, value in given.items() if not value)
        problems.append(
            Problem(f"one line per rating needs --unit, --rater and --label; {absent} is missing")
        )
    if any(given.values()) and layout.votes:
        problems.append(Problem("--votes and --unit, --rater, --label are two ways to say it"))
    columns = [("--unit", name) for name in layout.unit]
    columns += [("--rater", layout.rater or ""), ("--label", layout.label or "")]
    columns += [("--votes", layout.votes or "")]
    problems += [
        Problem(f"{flag}: there is no column {name!r}", allowed=", ".join(names))
        for flag, name in columns
        if name and name not in names
    ]
    if problems:
        raise UsageError(str(problems[0]), problems)


def units_of(items: Sequence[Item], layout: Layout) -> dict[str, list[int]]:
    """Unit -> places of its lines. The name of a unit joins its columns by " | "."""
    found: dict[str, list[int]] = {}
    for at, item in enumerate(items):
        parts = [label_of(item.fields.get(name)) or "" for name in layout.unit]
        found.setdefault(" | ".join(parts), []).append(at)
    return found


def read_ratings(
    items: Sequence[Item], layout: Layout, families: Mapping[str, Sequence[str]]
) -> list[Ratings]:
    """The ratings of every field that has some.

    Args:
        items: The rows.
        layout: How ratings stand there.
        families: Field -> its rater columns.

    Raises: DataError for votes that are not counts.
    """
    if layout.long:
        return [_long(items, layout)]
    if layout.votes:
        return [_votes(items, layout.votes, layout.missing)]
    return [_wide(items, name, columns, layout.missing) for name, columns in families.items()]


def _wide(
    items: Sequence[Item], field: str, columns: Sequence[str], absent: frozenset[str]
) -> Ratings:
    found: dict[str, dict[str, str]] = {}
    missing = 0
    for item in items:
        labels = {name: label_of(item.fields.get(name)) for name in columns}
        known = {name: x for name, x in labels.items() if x is not None and x not in absent}
        missing += len(columns) - len(known)
        found[item.id] = known
    return Ratings(field, found, missing)


def _long(items: Sequence[Item], layout: Layout) -> Ratings:
    assert layout.rater is not None
    assert layout.label is not None
    found: dict[str, dict[str, str]] = {}
    missing = repeated = 0
    for unit, places in units_of(items, layout).items():
        known = found.setdefault(unit, {})
        for at in places:
            fields = items[at].fields
            label, rater = label_of(fields.get(layout.label)), label_of(fields.get(layout.rater))
            if label is None or label in layout.missing or rater is None:
                missing += 1
            elif rater in known:
                repeated += 1
            else:
                known[rater] = label
    return Ratings(layout.label, found, missing, repeated)


def _votes(items: Sequence[Item], column: str, absent: frozenset[str]) -> Ratings:
    found: dict[str, dict[str, str]] = {}
    missing = 0
    named = True
    for item in items:
        value = item.fields.get(column)
        pairs = votes_of(value, item.id, column)
        known = [(rater, label) for rater, label in pairs if label not in absent]
        missing += len(pairs) - len(known)
        named = named and all(rater is not None for rater, _ in known)
        found[item.id] = {
            rater or f"vote {place}": label for place, (rater, label) in enumerate(known, 1)
        }
    return Ratings(column, found, missing, anonymous=not named)


def votes_of(value: Any, id: str, column: str) -> list[tuple[str | None, str]]:
    """(rater or None, label) of each vote in an object label -> count, or in its JSON text.

    A list counts each of its labels once; it may hold objects that name rater and label. The text
    may be Python's, which pandas writes; a count may be text too. Raises: DataError for others.
    """
    if isinstance(value, str) and value.strip():
        value = _parsed(value, id, column)
    if value is None or value == "":
        return []
    if isinstance(value, list):
        if any(isinstance(vote, Mapping) for vote in value):
            return [_named(vote, id, column) for vote in value]
        return [(None, label) for label in map(label_of, value) if label is not None]
    if not isinstance(value, Mapping):
        raise _bad(id, column, value)
    found: list[tuple[str | None, str]] = []
    for label, count in value.items():
        if count is None:
            continue
        if isinstance(count, str) and count.strip().isdecimal():
            count = int(count)
        whole = isinstance(count, int | float) and not isinstance(count, bool)
        if not (whole and float(count).is_integer() and 0 <= count <= MOST_VOTES):
            raise _bad(id, column, value)
        found += [(None, str(label))] * int(count)
    return found


def _named(vote: Any, id: str, column: str) -> tuple[str | None, str]:
    """Rater and label of one object: a label under one of VOTE, or beside the rater alone."""
    if not isinstance(vote, Mapping):
        raise _bad(id, column, vote)
    rater = next((name for name in vote if RATER.search(name)), None)
    others = [name for name in vote if name != rater]
    label = next((name for name in others if name.lower() in VOTE), None)
    if label is None and len(others) == 1:
        label = others[0]
    if label is None:
        raise _bad(id, column, vote)
    return label_of(vote[rater]) if rater else None, label_of(vote[label]) or ""


def _parsed(text: str, id: str, column: str) -> Any:
    for parse in (json.loads, ast.literal_eval):  # the second takes literals only
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    raise _bad(id, column, text)


def _bad(id: str, column: str, value: Any) -> DataError:
    problem = Problem(
        f"row {id}: {column} is {json.dumps(value, ensure_ascii=False)[:80]}",
        key=column,
        allowed="an object label -> count, or a list of labels, or of objects with rater and label",
    )
    return DataError(str(problem), [problem])
