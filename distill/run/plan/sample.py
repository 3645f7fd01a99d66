"""A few rows of a recipe through generate and filter, in a folder that is then removed.

Their answers stay in the project's store, so the run itself does not pay for them again, and what
they cost is booked in the run's own ledger, where it counts against the cap.
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
from distill.run.directory import RUNS, RunDirectory, held
from distill.run.rows.steps import shape_of
from distill.run.walk import run_recipe
from teachers.calls import Call, read_calls


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of a few candidates."""

    report: Mapping[str, Any]
    candidates: Sequence[Row]
    sifted: Sequence[Row]
    calls: Sequence[Call]
    """Those from the store too; their tokens are counted all the same."""
    seconds: float

    @property
    def cost(self) -> dict[str, Any]:
        """What the sample itself took, as `cost` of the report has it."""
        calls = self.by_teacher
        return {
            **_cost(self.calls),
            "by_teacher": {name: _cost(calls[name]) for name in sorted(calls)},
        }

    @property
    def by_teacher(self) -> Mapping[str, Sequence[Call]]:
        """The calls of each teacher."""
        found: dict[str, list[Call]] = {}
        for call in self.calls:
            found.setdefault(call.teacher, []).append(call)
        return found


def _cost(calls: Sequence[Call]) -> dict[str, Any]:
    paid = [call for call in calls if not call.stored]
    prices = [call.usd for call in paid if call.usd is not None]
    return {
        "usd": sum(prices) if len(prices) == len(paid) else None,
        "requests": len(paid),
        "input_tokens": sum(call.input_tokens for call in paid),
        "output_tokens": sum(call.output_tokens for call in paid),
        "stored_answers": len(calls) - len(paid),
    }


def take_sample(
    recipe: Recipe, count: int, listen: Listener = silent, run_dir: Path | None = None
) -> Sample:
    """Fills and sifts at most `count` candidates: the first ones that the run itself will ask.

    `run_dir` is the run whose ledger pays. Teachers are asked at once, also where their mode is
    batch, which may take a day.
    Raises: as run_recipe does.
    """
    recipe = expand(recipe)
    if recipe.generate is not None:
        # Pool rows are as they are; what is drawn is drawn the same, whatever the target.
        few = {"accept": None, "candidates": count, "balance": None, "probe": None}
        update = {
            "generate": recipe.generate.model_copy(update=few),
            "teachers": {name: _at_once(config) for name, config in recipe.teachers.items()},
        }
        recipe = _copy(recipe, update)
    ledger = RunDirectory(run_dir or Path(RUNS) / recipe.name)
    started = time.monotonic()
    with held(ledger), tempfile.TemporaryDirectory(prefix="distill-") as folder:
        known = {call.id for call in read_calls(ledger.ledger)}
        directory = RunDirectory(Path(folder))
        report = run_recipe(
            recipe, run_dir=folder, until="filter", listen=listen, spending=ledger.ledger
        )
        return Sample(
            report,
            list(read_stage(directory.stage("generate"))),
            list(read_stage(directory.stage("filter"))),
            read_calls(ledger.ledger, known),
            time.monotonic() - started,
        )


def _at_once(config: Any) -> Any:
    batch = getattr(config, "mode", "online") != "online"
    return config.model_copy(update={"mode": "online"}) if batch else config


def _copy(recipe: Recipe, update: Mapping[str, Any]) -> Recipe:
    copy = recipe.model_copy(update=dict(update))
    copy._source, copy._lines = recipe._source, recipe._lines
    return copy


def preview(
    recipe: Recipe, count: int, listen: Listener = silent, run_dir: Path | None = None
) -> dict[str, Any]:
    """A few rows with what became of them: {rows, counts, cost}."""
    sample = take_sample(recipe, count, listen, run_dir)
    recipe = expand(recipe)
    ends = {row.id: row for row in [*sample.candidates, *sample.sifted]}
    return {
        "name": recipe.name,
        "rows": [_shown(recipe, ends[id]) for id in sorted(ends)],
        "counts": sample.report["rows"],
        "cost": sample.cost,
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
