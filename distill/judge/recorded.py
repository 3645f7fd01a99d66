"""Verdicts that a judge gave elsewhere: a file of CONTRACT section 6, others' files, or columns.

`winner` speaks of content and `raw` of places: "A" there is the answer that was shown first. In a
file of the contract's own names a wrong value is refused; in anybody else's ("garbage", "error", a
text that breaks off) it is a failed verdict, and it is said how many there are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.judge.columns import IDS, find_judged, is_chosen, says_right
from distill.judge.endings import COLUMNS, cut_off
from distill.judge.labels import SWAPPED, Unreadable, Winner, is_missing, number_of
from distill.judge.paths import cell, example, opened, places
from distill.judge.rows import VERDICT_ROLES, JudgeData, Value, id_text, require_places
from distill.judge.verdicts import Order, Verdict
from distill.rows.readers import Numbered, read_numbered

ORDERS: Mapping[str, Order] = {
    "ab": "ab", "original": "ab", "ba": "ba", "swapped": "ba", "reversed": "ba",
}  # fmt: skip
RIGHT: Mapping[float, Winner] = {1.0: "a", 0.0: "b", 0.5: "tie"}
"""What a judge said that was right, wrong or undecided about a chosen and a rejected answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """A column with what a judge said of every row."""

    column: str
    order: Order | None = None
    """None where each record says it."""
    of_places: bool = False
    """Whether its words mean the place in which an answer was shown, not the answer."""
    strict: bool = False
    """Whether a value that is no verdict is an error."""
    right: bool = False
    """Whether it says that the judge was right, where the first answer is the chosen one."""
    other: str | None = None
    """The score of the second answer, where the column holds that of the first."""


@dataclass(slots=True)
class Recorded:
    """What was read."""

    verdicts: list[Verdict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_verdict_file(
    path: Path,
    data: JudgeData,
    mapping: Mapping[str, str] | None = None,
    *,
    order: Order = "ab",
) -> Recorded:
    """The verdicts of a file.

    Args:
        path: Any format of `distill.rows.readers`.
        data: The rows that were judged.
        mapping: Role (`VERDICT_ROLES`) -> column of the file.
        order: In which the answers were shown, where the file does not say it.

    Raises: DataError with every line that is wrong or names a row that the data lack.
    """
    records = read_numbered(path)
    every = [record.fields for record in records]
    given = _given(mapping)
    require_places(path, every, list(given.values()))
    parts = _named(given) or _usual(path, every, given, data, order)
    reading = _Reading(data)
    names = given.get("verdict_id") or _id_column(every, data)
    ids = _by_place(path, data, records, reading) if names is None else None
    known = {row.id: row.fields for row in data.rows}
    problems = []
    for place, (line, fields) in enumerate(records):
        try:
            own = ids[place] if ids else _known_id(_id(fields, names), known)
            shown = _order(fields, given.get("order", "order"), order)
            marks = _marks(fields, given.get("p", "p"), given.get("truncated"))
            reading.record(fields, parts, own, shown, marks, known.get(own))
        except Unreadable as error:
            problems.append(Problem(str(error), str(path), line, allowed=_shape(data)))
            continue
        if own not in known:
            problems.append(Problem(f"the data hold no row {own!r}", str(path), line, key="id"))
    if problems:
        raise DataError(str(problems[0]), problems)
    return reading.finished(path)


def inner_verdicts(path: Path | str, data: JudgeData, mapping: Mapping[str, str]) -> Recorded:
    """The verdicts that lie in the data themselves, in one order or both.

    Raises: DataError when there are no such columns, or no verdicts in them.
    """
    given = _given(mapping)
    require_places(path, [row.fields for row in data.rows], list(given.values()))
    reading = _Reading(data)
    parts = [reading.checked(part) for part in _named(given)]
    if not parts:
        problem = Problem("--map names no column that holds a verdict", fix="Add verdict=COLUMN.")
        raise DataError(str(problem), [problem])
    problems = []
    for row in data.rows:
        try:
            shown = _order(row.fields, given.get("order"), "ab")
            marks = _marks(row.fields, given.get("p"), given.get("truncated"), usual=())
            reading.record(row.fields, parts, row.id, shown, marks, row.fields)
        except Unreadable as error:
            problems.append(Problem(str(error), str(path), row.line))
    if problems:
        raise DataError(str(problems[0]), problems)
    return reading.finished(path)


def column_verdicts(path: Path | str, data: JudgeData, column: str) -> list[Verdict]:
    """The verdicts in a column of the data themselves; what cannot be read is a failed verdict.

    Raises: DataError when there is no such column.
    """
    return inner_verdicts(path, data, {"verdict": column}).verdicts


@dataclass(frozen=True, slots=True)
class _Marks:
    """What a record says beside its verdict."""

    p: float | None
    truncated: bool | None


class _Reading:
    """Reads cells, and counts those that say nothing."""

    def __init__(self, data: JudgeData) -> None:
        self._data = data
        self._cells: dict[str, int] = {}
        self._unread: dict[str, list[Any]] = {}
        self.found = Recorded()

    def checked(self, part: Part) -> Part:
        """The part as one that says whether the judge was right, where every cell can mean that."""
        if not (is_chosen(self._data.mapping.get("a")) and says_right(part.column)):
            return part
        values = [cell(row.fields, part.column) for row in self._data.rows]
        if any(_share(value) not in RIGHT for value in values if not is_missing(value)):
            return part
        self.found.notes.append(f"{part.column} is read as 1 right, 0 wrong, 0.5 a tie")
        return Part(part.column, part.order, right=True)

    def record(
        self,
        fields: Mapping[str, Any],
        parts: Sequence[Part],
        own: str,
        shown: Order,
        marks: _Marks,
        row: Mapping[str, Any] | None,
    ) -> None:
        """Takes the verdicts of one record.

        Raises: Unreadable.
        """
        for part in [_of_this(part, fields) for part in parts]:
            value, order = cell(fields, part.column), part.order or shown
            several = self._data.kind == "absolute" and isinstance(value, list)
            for one in value if several else [value]:
                read = self._value(fields, part, one, row)
                if part.of_places and order == "ba" and isinstance(read, str):
                    read = SWAPPED[read]
                raw = fields.get("raw") if part.strict else one
                said = None if raw is None or is_missing(raw) else str(raw)
                self.found.verdicts.append(
                    Verdict(own, read, order, marks.p, said, marks.truncated)
                )

    def finished(self, path: Path | str) -> Recorded:
        """All of it, with how many cells could not be read.

        Raises: DataError where a column holds lists or objects and no verdict.
        """
        said = [(verdict.id, verdict.order) for verdict in self.found.verdicts]
        if self._data.kind == "pairwise" and (again := len(said) - len(set(said))):
            self.found.notes.append(
                f"verdicts of a row and order that had one already: {again}; the first one counts"
            )
        for column, unread in self._unread.items():
            lies = opened(unread[0])
            if len(unread) == self._cells[column] and isinstance(lies, Mapping | list):
                problem = Problem(
                    f"{column!r} holds lists or objects, not verdicts",
                    str(path),
                    fix=f"Name a value inside, such as --map verdict={example(unread[0], column)}",
                )
                raise DataError(str(problem), [problem])
            self.found.notes.append(
                f"{len(unread)} of {self._cells[column]} cells of {column} name no verdict and "
                f"count as failures, such as {str(unread[0])[-60:]!r}"
            )
        return self.found

    def _value(
        self, fields: Mapping[str, Any], part: Part, value: Any, row: Mapping[str, Any] | None
    ) -> Value | None:
        if part.other is not None:
            return _higher(value, cell(fields, part.other))
        if part.strict:
            return self._data.read(value, row)
        if is_missing(value):
            return None
        self._cells[part.column] = self._cells.get(part.column, 0) + 1
        read = RIGHT[_share(value)] if part.right else self._data.lenient(value, row)
        if read is None:
            self._unread.setdefault(part.column, []).append(value)
        return read


def _of_this(part: Part, fields: Mapping[str, Any]) -> Part:
    """The part, or `raw` where a line of the contract's file holds only that.

    Raises: Unreadable where it holds neither.
    """
    if not part.strict or part.column in fields:
        return part
    if not isinstance(fields.get("raw"), str):
        raise Unreadable(f"there is no {part.column}")
    return Part("raw", part.order, of_places=True)


def _given(mapping: Mapping[str, str] | None) -> dict[str, str]:
    return {role: name for role, name in (mapping or {}).items() if role in VERDICT_ROLES}


def _named(given: Mapping[str, str]) -> list[Part]:
    """The columns that --map names; `_ba` ones were recorded with the second answer first."""
    both = "verdict_ba" in given or "raw_ba" in given
    first: Order | None = "ab" if both else None
    found = []
    if "verdict" in given:
        found.append(Part(given["verdict"], first))
    if "raw" in given:
        found.append(Part(given["raw"], first, of_places=True))
    if "verdict_ba" in given:
        found.append(Part(given["verdict_ba"], "ba"))
    if "raw_ba" in given:
        found.append(Part(given["raw_ba"], "ba", of_places=True))
    if ("score_a" in given) != ("score_b" in given):
        problem = Problem("--map names the score of one answer", fix="Add score_a and score_b.")
        raise DataError(str(problem), [problem])
    if "score_a" in given:
        found.append(Part(given["score_a"], first, other=given["score_b"]))
    return found


def _usual(
    path: Path,
    every: Sequence[Mapping[str, Any]],
    given: Mapping[str, str],
    data: JudgeData,
    order: Order,
) -> list[Part]:
    """The contract's column, else the only one that seems to hold what a judge said.

    Raises: DataError where there is none, or its words may mean content or places.
    """
    columns = list(dict.fromkeys(name for fields in every for name in fields))
    name = "winner" if data.kind == "pairwise" else "score"
    if name in columns:
        return [Part(name, strict=True)]
    if "raw" in columns or set(columns) <= {"id", "order", "p"}:
        return [Part(name, strict=True)]
    judged = find_judged([column for column in columns if column not in given.values()])
    shown = order == "ba" or places(every, given.get("order", "order"))
    swapped = shown and data.kind == "pairwise"
    if len(judged) == 1 and not swapped:
        return [Part(judged[0])]
    what = "which answer (verdict) or which place (raw)" if swapped else "the verdict"
    problem = Problem(
        f"it is not clear which column holds {what}, among {', '.join(columns)}",
        str(path),
        allowed=_shape(data),
        fix="Name it: --map verdict=COLUMN"
        + (" where it names an answer, raw=COLUMN where a place" if swapped else ""),
    )
    raise DataError(str(problem), [problem])


def _id_column(every: Sequence[Mapping[str, Any]], data: JudgeData) -> str | None:
    """`id`, else the column that gave the data their ids, else a usual name of known rows."""
    known = {row.id for row in data.rows}
    names = ["id", *([data.id_column] if data.id_column else []), *IDS]
    for name in dict.fromkeys(names):
        held = [cell(fields, name) for fields in every if places([fields], name)]
        if held and (name in names[:2] or known.issuperset(map(id_text, held))):
            return name
    return None


def _by_place(
    path: Path, data: JudgeData, records: Sequence[Numbered], reading: _Reading
) -> list[str]:
    """The rows' ids, where a file has none and as many verdicts.

    Raises: DataError where it has not.
    """
    if len(records) != len(data.rows):
        columns = ", ".join(dict.fromkeys(name for record in records for name in record.fields))
        problem = Problem(
            f"no column says which row a verdict is of, and there are {len(records)} verdicts for "
            f"{len(data.rows)} rows",
            str(path),
            key="id",
            allowed=columns,
            fix="Name it: --map verdict_id=COLUMN",
        )
        raise DataError(str(problem), [problem])
    reading.found.notes.append(f"{path.name} names no rows: its verdicts are taken in row order")
    return [row.id for row in data.rows]


def _id(fields: Mapping[str, Any], name: str | None) -> str:
    value = cell(fields, name or "id")
    if is_missing(value):
        raise Unreadable("there is no id" if name in (None, "id") else f"there is no {name}")
    return id_text(value)


def _known_id(own: str, known: Mapping[str, Any]) -> str:
    """The id, or what is left without the ".0" that tables with gaps write behind whole numbers."""
    whole = own.removesuffix(".0")
    return whole if own not in known and whole in known else own


def _order(fields: Mapping[str, Any], name: str | None, usual: Order) -> Order:
    given = cell(fields, name) if name else None
    if is_missing(given):
        return usual
    found = ORDERS.get(str(given).strip().lower())
    if found is None:
        raise Unreadable(f"the order is {given!r}")
    return found


def _marks(
    fields: Mapping[str, Any], p: str | None, truncated: str | None, usual: Sequence[str] = COLUMNS
) -> _Marks:
    """The judge's probability, and whether its answer was cut off.

    Raises: Unreadable.
    """
    named = [truncated] if truncated else [name for name in usual if name in fields]
    try:
        told = [cut_off(cell(fields, name)) for name in named]
    except Unreadable:
        if truncated:
            raise
        told = []  # a column that nobody named may mean anything
    known = [one for one in told if one is not None]
    return _Marks(_probability(cell(fields, p)) if p else None, any(known) if known else None)


def _probability(value: Any) -> float | None:
    if is_missing(value):
        return None
    number = number_of(value)
    if number is None or not 0 <= number <= 1:
        raise Unreadable(f"p is {value!r}, not a probability")
    return number


def _share(value: Any) -> float:
    """0, 0.5 or 1, also of a truth value; -1 for anything else."""
    number = float(value) if isinstance(value, bool) else number_of(value)
    return -1.0 if number is None else number


def _higher(first: Any, second: Any) -> Winner | None:
    """The answer with the higher score; None where one is missing."""
    mine, theirs = number_of(first), number_of(second)
    if mine is None or theirs is None:
        return None
    return "tie" if mine == theirs else "a" if mine > theirs else "b"


def _shape(data: JudgeData) -> str:
    if data.kind == "pairwise":
        return '{"id", "order": "ab" | "ba", "raw"?, "winner": "a" | "b" | "tie" | null}'
    return '{"id", "score": number | null}'
