"""A few rows of a recipe through generate and filter, in a folder that is then removed.

Their answers stay in the project's store: the run itself does not pay for them again.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.progress import Listener, silent
from distill.recipe.expand import expand
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.rows.row import Row
from distill.rows.stages import read_stage
from distill.run.directory import RunDirectory
from distill.run.rows_steps import shape_of
from distill.run.walk import run_recipe
from teachers.writer import reading


@dataclass(frozen=True, slots=True)
class Spent:
    """What one teacher was asked in a sample."""

    calls: int
    input_tokens: int
    output_tokens: int
    stored: int
    """Answers that came from the store; their tokens are counted all the same."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of a few candidates."""

    report: Mapping[str, Any]
    candidates: Sequence[Row]
    sifted: Sequence[Row]
    spent: Mapping[str, Spent]
    """By teacher."""
    seconds: float


def take_sample(recipe: Recipe, count: int, listen: Listener = silent) -> Sample:
    """Fills and sifts at most `count` candidates: the first ones that the run itself will ask.

    Raises: as run_recipe does.
    """
    recipe = expand(recipe)
    if recipe.generate is not None:
        # Pool rows are as they are; what is drawn is drawn the same, whatever the target.
        few = {"accept": None, "candidates": count, "balance": None, "probe": None}
        generate = recipe.generate.model_copy(update=few)
        recipe = _copy(recipe, {"generate": generate})
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="distill-") as folder:
        directory = RunDirectory(Path(folder))
        report = run_recipe(recipe, run_dir=folder, until="filter", listen=listen)
        return Sample(
            report,
            list(read_stage(directory.stage("generate"))),
            list(read_stage(directory.stage("filter"))),
            _spent(directory.ledger),
            time.monotonic() - started,
        )


def _copy(recipe: Recipe, update: Mapping[str, Any]) -> Recipe:
    copy = recipe.model_copy(update=dict(update))
    copy._source, copy._lines = recipe._source, recipe._lines
    return copy


def _spent(ledger: Path) -> dict[str, Spent]:
    with reading(ledger) as database:
        found = database.execute(
            "SELECT teacher, COUNT(*), SUM(input_tokens), SUM(output_tokens), "
            "SUM(state = 'stored') FROM spend WHERE state IN ('settled', 'stored') "
            "GROUP BY teacher"
        ).fetchall()
    return {name: Spent(*map(int, rest)) for name, *rest in found}


def preview(recipe: Recipe, count: int, listen: Listener = silent) -> dict[str, Any]:
    """A few rows with what became of them: {rows, counts, cost}."""
    sample = take_sample(recipe, count, listen)
    recipe = expand(recipe)
    ends = {row.id: row for row in [*sample.candidates, *sample.sifted]}
    return {
        "name": recipe.name,
        "rows": [_shown(recipe, ends[id]) for id in sorted(ends)],
        "counts": sample.report["rows"],
        "cost": sample.report["cost"],
    }


def _shown(recipe: Recipe, row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": row.id,
        "status": row.status,
        "reason": row.reason,
        "fields": dict(row.fields),
        "verdicts": [
            {"by": v.by, "keep": v.keep, "reason": v.reason, "score": v.score} for v in row.verdicts
        ],
        "messages": None,
    }
    if row.status == "accepted" and shape_of(recipe) == "distill":
        turns = TaskPrompt.from_recipe(recipe).conversation(row.fields)
        shown["messages"] = [{"role": turn.role, "content": turn.content} for turn in turns]
    return shown
