"""The students of a comparison: the recipe's own and the cheaper ways beside it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import Problem, RecipeError
from distill.recipe.check_training import ZERO_STAGES
from distill.recipe.files import locate
from distill.recipe.prompts import TaskPrompt, soft_fields
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import captured_in_run
from distill.rows.atomic import atomic_file
from distill.rows.dataset import read_dataset
from distill.rows.readers import read_numbered
from distill.rows.row import canonical_json
from distill.run.context import Context
from distill.run.models.local import teacher_plan
from distill.run.rows.finished import GoldTexts, write_blend
from distill.run.rows.steps import gold_records

CONFIDENT = "hard_labels_confident"


@dataclass(frozen=True, slots=True)
class Arm:
    """One student of the comparison; all arms share rows, order, steps and the rate search."""

    name: str
    rows: Path
    train: Mapping[str, Any]
    teacher: Mapping[str, Any] | None
    mix: Sequence[Mapping[str, Any]] = ()
    signals: str | None = None
    """The cache of the student's signal."""


def arms(context: Context) -> list[Arm]:
    """The student and what it is compared with."""
    recipe = context.recipe
    student = student_arm(context)
    found = [student]
    loss = student.train["loss"]
    if loss["kind"] == "verdict":  # whose target the votes would be
        loss = {"kind": "forward_kl", "weight": loss["weight"], "ce": loss["ce"]}
    text = {"signal": {"kind": "text"}, "loss": loss}
    # Its own words are no labels, and hidden states are the teacher's.
    hard = {**student.train, **text, "on_policy": None, "hidden": None}
    for name in recipe.evaluate.compare if recipe.evaluate else ():
        chosen = _confident_rows(context) if name == CONFIDENT else student.rows
        found.append(Arm(name, chosen, hard, None, student.mix))
    return found


def student_arm(context: Context) -> Arm:
    """The recipe's own student."""
    recipe = context.recipe
    assert recipe.train is not None
    rows = context.directory.dataset / "train.jsonl"
    plain = recipe.train.model_dump(mode="json", by_alias=True)
    if recipe.train.objective != "clm":  # whose texts are cut into windows first
        plain["steps"], plain["epochs"] = _steps(recipe, _count(rows)), None
    if isinstance(recipe.train.deepspeed, str) and recipe.train.deepspeed not in ZERO_STAGES:
        plain["deepspeed"] = str(locate(recipe, recipe.train.deepspeed).resolve())
    if recipe.student and recipe.student.kind == "classifier":
        plain["signal"] = _labels_signal(recipe, rows)
    cache = context.directory.root / "signals"
    return Arm(
        "student",
        rows,
        plain,
        teacher_plan(recipe, context.sources),
        blends(context),
        str(cache.resolve()) if captured_in_run(recipe) else None,
    )


def _labels_signal(recipe: Recipe, rows: Path) -> dict[str, Any]:
    """What a classifier learns from: distributions over the labels where the rows tell any.

    A recipe that names a signal means it: `text` is the labels alone, and any other one must be
    there.
    """
    assert recipe.train is not None
    if "signal" in recipe.train.model_fields_set:
        return {"kind": "text" if recipe.train.signal.kind == "text" else "labels"}
    told = [f"{name}{end}" for name in soft_fields(recipe) for end in ("_logp", "_votes", "_p")]
    dataset = (record["fields"] for _, record in read_numbered(rows))
    return {"kind": "labels" if any(set(told) & row.keys() for row in dataset) else "text"}


def blends(context: Context) -> list[dict[str, Any]]:
    """The data that are mixed in, as rows in the run's own folder; gold is never among them."""
    recipe = context.recipe
    assert recipe.train is not None
    if not recipe.train.mix:
        return []
    prompt, found = TaskPrompt.from_recipe(recipe), []
    gold = GoldTexts(str(row.get(recipe.task.input) or "") for row in gold_records(context))
    for at, blend in enumerate(recipe.train.mix):
        path = train_folder(context) / f"mix-{at}.jsonl"
        dropped = write_blend(locate(recipe, blend.data), prompt, gold, path)
        if dropped:
            context.say("train", f"{dropped} rows of {blend.data} hold gold and are left out")
        found.append({"rows_path": str(path.resolve()), "share": blend.share})
    return found


def _confident_rows(context: Context) -> Path:
    recipe = context.recipe
    assert recipe.evaluate is not None
    least, name = recipe.evaluate.confident, f"{recipe.task.output}_p"
    rows = read_dataset(context.directory.dataset, "train")
    sure = [row for row in rows if (row.fields.get(name) or 0.0) >= least]
    if not sure:
        problem = Problem(
            file=recipe._source,
            key="evaluate.confident",
            found=f"no training row has {name} of at least {least:g}",
            fix="Lower it, or leave hard_labels_confident out of evaluate.compare.",
        )
        raise RecipeError(str(problem), [problem])
    path = train_folder(context) / "confident.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.writelines(
            canonical_json(row.as_dict()) + "\n" for row in sorted(sure, key=lambda row: row.id)
        )
    return path


def _steps(recipe: Recipe, rows: int) -> int:
    """Optimiser steps, the same for all arms however many rows they have."""
    assert recipe.train is not None
    if recipe.train.steps is not None:
        return recipe.train.steps
    from distill.train.defaults import EPOCHS

    own = recipe.train.batch * (1 - sum(blend.share for blend in recipe.train.mix))
    return max(1, math.ceil(rows / own * (recipe.train.epochs or EPOCHS)))


def _count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def train_folder(context: Context) -> Path:
    """Where the stage keeps its files."""
    return context.directory.stage("train")
