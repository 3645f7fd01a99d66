"""Keeps cells level: which are short, which value the next candidate gets, what is beyond a share.

A cell is a value of `balance` (or a combination, where it names several fields). All of it follows
from the recipe and from the rows that earlier rounds accepted.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from distill.generate.rounds import LEAST_YIELD
from distill.recipe.generation import AskField, Generate
from distill.recipe.schema import Recipe
from distill.recipe.task import Scale, labels_of
from distill.rows.row import Row, canonical_json

MOST_CELLS = 2000


class Balance:
    """The cells of one run; without `balance` one cell takes everything."""

    def __init__(self, recipe: Recipe, values_of: Callable[[str], Sequence[Any] | None]) -> None:
        generate = recipe.generate or Generate()
        self._names = generate.cells
        self._target = generate.accept
        drawn = {name: values for name in self._names if (values := values_of(name)) is not None}
        self._steered = tuple(drawn)
        """Fields whose value is given; the others come as the teacher writes them."""
        known = [drawn.get(name) or _closed(recipe, generate, name) or None for name in self._names]
        self._cells = _cells(known)
        self._accepted: Counter[str] = Counter()
        self._tried: Counter[str] = Counter()
        self._planned: Counter[str] = Counter()

    @property
    def on(self) -> bool:
        """Whether cells are kept level."""
        return bool(self._names) and self._target is not None

    def quotas(self) -> dict[str, int]:
        """Cell -> accepted rows that it is to have; the first cells take what cannot be shared."""
        if not self.on or not self._cells:
            return {}
        share, rest = divmod(self._target or 0, len(self._cells))
        return {cell: share + (at < rest) for at, cell in enumerate(self._cells)}

    def short(self) -> dict[str, int]:
        """Cell -> accepted rows that it lacks."""
        lacking = {cell: n - self._accepted[cell] for cell, n in self.quotas().items()}
        return {cell: n for cell, n in lacking.items() if n > 0}

    def wanted(self, yield_: float) -> int | None:
        """Candidates that should fill the short cells, None where that cannot be known.

        Args:
            yield_: Accepted share over all cells, for cells that were not tried yet.
        """
        if not self.on or not self._steered or not self._cells:
            return None
        return round(sum(self._need(cell, n, yield_) for cell, n in self.short().items()) + 0.5)

    def _need(self, cell: str, lacking: int, yield_: float) -> float:
        tried = self._tried[cell]
        share = self._accepted[cell] / tried if tried else yield_
        return 1.1 * lacking / max(share, LEAST_YIELD)

    def plan(self, yield_: float) -> None:
        """Starts a round: what each short cell still needs is what its candidates are dealt by."""
        self._planned = Counter()
        for cell, lacking in self.short().items():
            self._planned[cell] = max(1, round(self._need(cell, lacking, yield_)))

    def next_cell(self) -> Mapping[str, Any]:
        """The values that the next candidate gets: of the cell that lacks most."""
        if not self._steered or not self._planned:
            return {}
        cell = max(self._planned, key=lambda name: (self._planned[name], name))
        self._planned[cell] -= 1
        self._tried[cell] += 1
        values = dict(zip(self._names, self._cells[cell], strict=True))
        return {name: values[name] for name in self._steered}

    def accept(self, rows: Sequence[Row]) -> None:
        """Counts accepted rows."""
        self._accepted.update(self.cell_of(row) for row in rows)

    def cell_of(self, row: Row) -> str:
        """The cell of a finished row."""
        return canonical_json([row.fields.get(name) for name in self._names])

    def cut(self, rows: Sequence[Row], accepted: int) -> list[Row]:
        """The rows in order, those beyond the target or beyond their cell's share as surplus."""
        quotas, counts = self.quotas(), Counter(self._accepted)
        kept = []
        for row in rows:
            if row.status == "accepted" and self._target is not None:
                cell = self.cell_of(row) if quotas else ""
                full = bool(quotas) and counts[cell] >= quotas.get(cell, 0)
                if full or accepted >= self._target:
                    row = replace(row, status="rejected", reason="surplus")
                else:
                    counts[cell] += 1
                    accepted += 1
            kept.append(row)
        return kept

    def shortage(self) -> str:
        """What is missing, in words."""
        short = self.short()
        quotas = self.quotas()
        said = [
            f"{', '.join(map(str, self._cells[cell]))}: {quotas[cell] - n} of {quotas[cell]}"
            for cell, n in sorted(short.items(), key=lambda item: -item[1])
        ]
        more = f" and {len(said) - 5} more" if len(said) > 5 else ""
        return "; ".join(said[:5]) + more


def _cells(values: Sequence[Sequence[Any] | None]) -> dict[str, Sequence[Any]]:
    """Every combination by its key; none where a field's values are not known."""
    if not values or any(known is None for known in values):
        return {}
    once = [list({canonical_json(one): one for one in known or ()}.values()) for known in values]
    if math.prod(map(len, once)) > MOST_CELLS:
        return {}
    return {canonical_json(list(cell)): cell for cell in product(*once)}


def _closed(recipe: Recipe, generate: Generate, name: str) -> Sequence[Any] | None:
    """The values that an asked field, or a column of labels, may have."""
    spec = generate.fields.get(name)
    if isinstance(spec, AskField) and isinstance(spec.choices, list):
        return spec.choices
    chosen = isinstance(spec, AskField) and spec.choices is not None
    if name == recipe.task.output and isinstance(getattr(recipe.task, "scale", None), Scale):
        return [int(score) for score in labels_of(recipe.task) or ()]  # rows hold numbers
    if chosen or name == recipe.task.output:
        return labels_of(recipe.task)
    return None
