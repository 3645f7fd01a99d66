"""How rows that a judge learns from are split: on instructions and rubrics that it never saw.

A judge that knows its rubrics looks better than one that has to read them (Prometheus, Kim et al.
2023, arXiv:2310.08491, tells seen from unseen rubrics), so both are held out where there are
enough, and every held-out row says what is new in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from distill.recipe.prompts import JUDGES
from distill.recipe.schema import Split
from distill.recipe.task import Task
from distill.rows.row import Row, canonical_json

UNSEEN = ("instruction", "rubric")
"""What a judge is measured on that it may not have met in training."""
WHOLE = 0.5
"""A rubric is held out where val's share of them rounds to a whole one: five of them at 0.1."""


def split_of(task: Task, split: Split, rows: Sequence[Row]) -> Split:
    """The split with what a judge's holds together and out, where the recipe says nothing."""
    if not isinstance(task, JUDGES):
        return split
    rubrics = _values(rows, "rubric")
    together, out = split.keep_together, split.hold_out
    if together is None:
        together = ["duplicates", "instruction"]
    if out is None:
        out = ["rubric"] if split.val * len(rubrics) >= WHOLE else []
    return split.model_copy(update={"keep_together": together, "hold_out": out})


def with_provenance(task: Task, parts: Mapping[str, Sequence[Row]]) -> Mapping[str, Sequence[Row]]:
    """Val rows of a judge with `held_out`: which of UNSEEN no row of train has."""
    if not isinstance(task, JUDGES) or "val" not in parts:
        return parts
    seen = {name: _values(parts["train"], name) for name in UNSEEN}

    def marked(row: Row) -> Row:
        told = {name: row.fields.get(name) for name in UNSEEN}
        new = [n for n, v in told.items() if v is not None and canonical_json(v) not in seen[n]]
        return replace(row, fields={**row.fields, "held_out": new})

    return {**parts, "val": [marked(row) for row in parts["val"]]}


def _values(rows: Sequence[Row], name: str) -> frozenset[str]:
    given = (row.fields.get(name) for row in rows)
    return frozenset(canonical_json(value) for value in given if value is not None)
