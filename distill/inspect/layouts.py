"""How ratings stand in a file that nobody described: one line per rating, or counts of votes."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from distill.errors import DataError
from distill.inspect.mapping import LABELS, LONGEST_LABEL, is_label_column
from distill.inspect.ratings import RATER, Layout, votes_of
from distill.inspect.texts import label_of
from distill.measure.words import numpy

VOTES = re.compile(r"votes?\b|votes?_|mturk|annotations?$|ratings?$|judge?ments?$|counts?$", re.I)

ONCE = 0.95
"""Least share of lines that are the only one of their rater on their unit."""
LEAST_RATERS = 1.5
"""Fewest lines per unit, in the mean."""
MOST_TOGETHER = 4
"""Columns that name a unit together, at most."""
MOST_COLUMNS = 8
LONGEST_NAME = 40
"""Characters of a value, in the mean, that names something rather than being read."""
SAMPLE = 500
ALIKE = 0.8
"""Least share of rows with the usual number of votes, where the name does not speak of votes."""


@dataclass(frozen=True, slots=True)
class _Codes:
    """Columns as numbers of their different values (N,)."""

    by_name: Mapping[str, Any]
    size: Mapping[str, float]
    """Mean length of the values."""


def guess_layout(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str], taken: Collection[str]
) -> Layout | None:
    """Returns how ratings stand in rows that say it plainly, or None.

    One line per rating: a column named after raters, columns that together name a unit which each
    rater rates once, and one column of labels that differ within units. Votes: a column of counts.

    Args:
        rows: The records.
        names: Their columns.
        taken: Columns that the user gave another use.
    """
    free = [name for name in names if name not in taken and name != "split"]
    if votes := _votes(rows, free):
        return Layout(votes=votes)
    raters = [name for name in free if RATER.search(name)]
    if len(raters) != 1:
        return None
    return _long(rows, free, raters[0])


def _long(rows: Sequence[Mapping[str, Any]], free: Sequence[str], rater: str) -> Layout | None:
    codes = _coded(rows, free)
    if rater not in codes.by_name:
        return None
    raters = int(codes.by_name[rater].max()) + 1
    if not 2 <= raters <= len(rows) / 2:
        return None
    unit = _unit(codes, rater)
    if unit is None:
        return None
    label = _label(rows, codes, [name for name in free if name not in (*unit, rater)], unit)
    return Layout(unit=unit, rater=rater, label=label) if label else None


def _coded(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> _Codes:
    np = numpy()
    found, size = {}, {}
    for name in names:
        values = [row.get(name) for row in rows]
        if any(isinstance(value, list | dict) for value in values):
            continue
        texts = [label_of(value) or "" for value in values]
        place: dict[str, int] = {}
        found[name] = np.array([place.setdefault(text, len(place)) for text in texts])
        size[name] = sum(map(len, place)) / len(place)
    return _Codes(found, size)


def _unit(codes: _Codes, rater: str) -> tuple[str, ...] | None:
    """The columns that name a unit; of those that do, the surest, fewest and shortest.

    Texts name one only where nothing shorter does.
    """
    rows = len(codes.by_name[rater])
    likely = [
        name
        for name, code in codes.by_name.items()
        if name != rater and 2 <= code.max() + 1 <= rows / LEAST_RATERS
    ]
    names = [name for name in likely if codes.size[name] <= LONGEST_NAME]
    return _best_unit(codes, rater, names) or _best_unit(codes, rater, likely)


def _best_unit(codes: _Codes, rater: str, likely: Sequence[str]) -> tuple[str, ...] | None:
    rows = len(codes.by_name[rater])
    likely = sorted(likely, key=lambda name: codes.size[name])[:MOST_COLUMNS]
    found = []
    for many in range(1, MOST_TOGETHER + 1):
        for names in combinations(likely, many):
            units = _together([codes.by_name[name] for name in names])
            lines = _together([units, codes.by_name[rater]])
            once = (int(lines.max()) + 1) / rows
            if once >= ONCE and rows / (int(units.max()) + 1) >= LEAST_RATERS:
                long = sum(codes.size[name] for name in names)
                found.append((-round(once, 3), many, long, names))
    if not found:
        return None
    best = min(found)[-1]
    return tuple(name for name in codes.by_name if name in best)


def _together(codes: Sequence[Any]) -> Any:
    """Numbers (N,) of the different combinations of some columns."""
    np = numpy()
    whole = codes[0]
    for code in codes[1:]:
        _, whole = np.unique(whole * (int(code.max()) + 1) + code, return_inverse=True)
    return whole


def _label(
    rows: Sequence[Mapping[str, Any]], codes: _Codes, others: Sequence[str], unit: Sequence[str]
) -> str | None:
    """The one column of labels that differ within units, or that is called a label."""
    units = _together([codes.by_name[name] for name in unit])
    labels = [
        name
        for name in others
        if name in codes.by_name and is_label_column([row.get(name) for row in rows])
    ]
    many = int(units.max()) + 1
    differ = [n for n in labels if int(_together([units, codes.by_name[n]]).max()) + 1 > many]
    for some in (differ, [n for n in differ or labels if n.lower() in LABELS]):
        if len(some) == 1:
            return some[0]
    return None


def _votes(rows: Sequence[Mapping[str, Any]], free: Sequence[str]) -> str | None:
    """The one column of label -> count, or, where its name says so, of lists of labels."""
    sample = rows[:: max(1, len(rows) // SAMPLE)]
    # FIELD_votes beside FIELD and FIELD_p is what we write of a teacher's votes, not of people's.
    own = {f"{name.removesuffix('_p')}_votes" for name in free if name.endswith("_p")}
    if "ranked_swapped" in free:  # a teacher compared in both orders; FIELD_votes counts these
        own |= {f"{name}_votes" for name in free}
    found = [
        name
        for name in free
        if name not in own and _holds_votes(name, [row.get(name) for row in sample])
    ]
    return found[0] if len(found) == 1 else None


def _holds_votes(name: str, values: Sequence[Any]) -> bool:
    known = [value for value in values if value not in (None, "", {}, [])]
    if len(known) < len(values) / 2 or not known:
        return False
    first = known[0]
    if not (isinstance(first, list | dict) or (isinstance(first, str) and first[:1] in "{[")):
        return False
    named = bool(VOTES.search(name))
    if not named and not isinstance(first, dict) and str(first)[:1] != "{":
        return False
    try:
        votes = [votes_of(value, "", name) for value in known]
    except DataError:
        return False
    totals = Counter(map(len, votes))
    labels = {label for one in votes for _, label in one}
    few = (
        0 < len(labels) <= max(2, sum(map(len, votes)) / 3)
        and max(map(len, labels)) <= LONGEST_LABEL
    )
    if max(totals) < 2 or not few:
        return False
    return named or max(totals.values()) >= ALIKE * len(known)
