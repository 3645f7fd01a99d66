"""balance: keeps at most so many rows per label or cell of attributes."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, best_first
from distill.recipe.filtering import BalanceFilter
from distill.rows.row import Row, Verdict, canonical_json


class Balance:
    """Rows with the higher earlier score stay, else those with the lower id; earlier rounds count.

    `ratio` is taken of the smallest cell there is, this round included; for a classify task that is
    balanced by its label, a label without rows does not count.
    """

    quality: ClassVar[bool] = False

    def __init__(self, spec: BalanceFilter, context: Context) -> None:
        self.needs: Sequence[str] = tuple(spec.by or (context.task.output,))
        if spec.max is None and spec.ratio is None:
            raise context.refuse(
                "balance says no cap", allowed="max, ratio", fix="Write max: 500 or ratio: 2."
            )
        self._max, self._ratio = spec.max, spec.ratio
        self._kept: Counter[str] = Counter()

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with over_cap; the score is the row's place in its cell, counted from 1."""
        cells = {row.id: self._cell(row) for row in rows}
        there = self._kept + Counter(cells.values())
        cap = self._max
        if self._ratio is not None and there:
            most = int(self._ratio * min(there.values()))
            cap = most if cap is None else min(cap, most)
        verdict = {}
        for row in best_first(rows):
            cell = cells[row.id]
            place = self._kept[cell] + 1
            keep = cap is None or place <= cap
            self._kept[cell] += keep
            reason = None if keep else "over_cap"
            verdict[row.id] = Verdict("balance", keep, reason, float(place))
        return [verdict[row.id] for row in rows]

    def _cell(self, row: Row) -> str:
        return canonical_json([row.fields[name] for name in self.needs])
