"""What a judge said of each row, in one order or both, and what follows from it.

A failure to parse is a verdict of None: never a number, never a tie.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distill.judge.rows import JudgeData, Value

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
    truncated: bool | None = None
    """Whether it was cut off at the token limit; None where nobody knows."""


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

    @property
    def truncated(self) -> bool | None:
        """Whether any reading was cut off; None where none was and one does not tell."""
        told = [verdict.truncated for found in self.by_order.values() for verdict in found]
        if True in told:
            return True
        return None if None in told or not told else False


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
