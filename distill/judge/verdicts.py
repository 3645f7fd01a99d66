"""What a judge said of each row, in one order or both, and what follows from it.

A failure to parse is a verdict of None: never a number, never a tie.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distill.errors import DataError, Problem
from distill.judge.labels import Unreadable, is_missing
from distill.judge.rows import JudgeData, Value
from distill.rows.readers import read_numbered

Order = Literal["ab", "ba"]
ORDERS: tuple[Order, ...] = ("ab", "ba")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One reading of one row."""

    id: str
    value: Value | None
    """About content, whatever the order; None where the text could not be read."""
    order: Order = "ab"
    """Which answer was shown first; an absolute judge has one order."""
    p: float | None = None
    """The judge's probability of this verdict, where it tells one."""
    raw: str | None = None
    """What it wrote."""


@dataclass(frozen=True, slots=True)
class Judged:
    """All that a judge said of one row."""

    by_order: Mapping[Order, Sequence[Verdict]]

    def value(self, order: Order) -> Value | None:
        """The first reading in an order; later ones only tell how steady the judge is."""
        found = self.by_order.get(order, ())
        return found[0].value if found else None

    @property
    def resolved(self) -> Value | None:
        """Both orders as one verdict: where they disagree a tie, where one is missing nothing."""
        given = [self.value(order) for order in self.by_order]
        if not given or None in given:
            return None
        return given[0] if len(set(given)) == 1 else "tie"

    @property
    def confidence(self) -> float | None:
        """Mean probability of the resolved verdict over the orders; None where none is told."""
        found = [readings[0] for readings in self.by_order.values() if readings]
        known = [v.p for v in found if v.p is not None and v.value == self.resolved]
        return sum(known) / len(known) if known and len(known) == len(found) else None


def read_verdict_file(path: Path, data: JudgeData) -> list[Verdict]:
    """The verdicts of a file of CONTRACT section 6.

    Raises: DataError with every line that is wrong or names a row that the data lack.
    """
    known = {row.id for row in data.rows}
    found, problems = [], []
    for line, fields in read_numbered(path):
        try:
            verdict = _of_record(fields, data)
        except Unreadable as error:
            problems.append(Problem(str(error), str(path), line, allowed=_shape(data)))
            continue
        if verdict.id not in known:
            problems.append(
                Problem(f"the data hold no row {verdict.id!r}", str(path), line, key="id")
            )
        found.append(verdict)
    if problems:
        raise DataError(str(problems[0]), problems)
    return found


def column_verdicts(path: Path | str, data: JudgeData, column: str) -> list[Verdict]:
    """The verdicts in a column of the data themselves; what cannot be read is a failed verdict.

    Raises: DataError when there is no such column.
    """
    if not any(column in row.fields for row in data.rows):
        columns = list(dict.fromkeys(name for row in data.rows for name in row.fields))
        problem = Problem(f"there is no column {column!r}", str(path), allowed=", ".join(columns))
        raise DataError(str(problem), [problem])
    found = []
    for row in data.rows:
        cell = row.fields.get(column)
        for value in cell if data.kind == "absolute" and isinstance(cell, list) else [cell]:
            raw = None if is_missing(value) else str(value)
            found.append(Verdict(row.id, _lenient(data, value), raw=raw))
    return found


def by_row(verdicts: Iterable[Verdict], data: JudgeData) -> dict[str, Judged]:
    """Row id -> what was said of it, with every order that was used anywhere."""
    found: dict[str, dict[Order, list[Verdict]]] = {}
    used = set()
    for verdict in verdicts:
        used.add(verdict.order)
        found.setdefault(verdict.id, {}).setdefault(verdict.order, []).append(verdict)
    orders = [order for order in ORDERS if order in used]
    return {
        row.id: Judged({order: found.get(row.id, {}).get(order, []) for order in orders})
        for row in data.rows
    }


def _of_record(fields: Mapping[str, Any], data: JudgeData) -> Verdict:
    name = "winner" if data.kind == "pairwise" else "score"
    if fields.get("id") is None:
        raise Unreadable("there is no id")
    if name not in fields and not isinstance(fields.get("raw"), str):
        raise Unreadable(f"there is no {name}")
    given = fields.get("order")
    order = "ab" if is_missing(given) else str(given).strip().lower()
    if order not in ORDERS:
        raise Unreadable(f"the order is {given!r}")
    p = fields.get("p")
    if p is not None and not (isinstance(p, int | float) and 0 <= p <= 1):
        raise Unreadable(f"p is {p!r}, not a probability")
    raw = fields.get("raw")
    value = data.read(fields[name]) if name in fields else data.read_written(raw, order)
    return Verdict(
        id=str(fields["id"]),
        value=value,
        order="ba" if order == "ba" else "ab",
        p=p,
        raw=None if raw is None else str(raw),
    )


def _lenient(data: JudgeData, value: Any) -> Value | None:
    try:
        return data.read(value)
    except Unreadable:
        return data.read_written(value)


def _shape(data: JudgeData) -> str:
    if data.kind == "pairwise":
        return '{"id", "order": "ab" | "ba", "raw"?, "winner": "a" | "b" | "tie" | null}'
    return '{"id", "score": number | null}'
