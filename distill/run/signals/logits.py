"""What `distill logits` does: capture a recipe's signals, audit the cache of a run or a folder."""

from pathlib import Path
from typing import Any

from distill.errors import DistillError, Problem, RecipeError, UsageError
from distill.progress import Listener
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import sparse_signal
from distill.run.directory import RUNS, RunDirectory
from distill.run.signals.step import FOLDER
from distill.run.walk import run_recipe

MANIFEST = "manifest.json"
REMOTE = "the teacher is remote; its scores are not asked for again"
ALIGNED = "the teacher's own tokens are others than those of the cache"


def capture_signals(recipe: Recipe, folder: Path, listen: Listener) -> dict[str, Any]:
    """Runs a recipe up to its signals, in the run's folder; what the cache holds now.

    Raises: DistillError; RecipeError where the recipe's signal is none that is captured.
    """
    if sparse_signal(recipe) is None:
        kind = recipe.train.signal.kind if recipe.train else "none"
        problem = Problem(
            file=recipe._source,
            key="train.signal.kind",
            found=f"the signal is {kind}, of which nothing is captured",
            allowed="topk, token, sampled",
            fix="Set train.signal, for example {kind: topk, from: TEACHER}.",
        )
        raise RecipeError(str(problem), [problem])
    run_recipe(recipe, run_dir=folder, until="signals", listen=listen)
    done = RunDirectory(folder).done("signals")
    assert done is not None
    captured: dict[str, Any] = dict(done.details["captured"])
    return {
        "run_dir": str(folder),
        "cache": str(folder / FOLDER),
        "teacher": done.details["teacher"],
        "way": done.details["way"],
        **captured,
    }


def audit_cache(ref: str, sample_rows: int) -> dict[str, Any]:
    """The figures of a cache; `why` says what could not be measured.

    Raises: UsageError when there is no cache, DataError when it is damaged.
    """
    from distill.capture.audit import audit
    from distill.train.cached_signal import signal_row

    folder, directory = _found(ref)
    why: dict[str, str] = {}
    rows, teacher = [], None
    done = directory.done("signals") if directory else None
    if done is None:
        why["rows"] = "the cache lies in no run, so its rows are not known"
    else:
        try:
            rows = [signal_row(row) for row in _rows(done.details["plan"])]
        except DistillError as error:
            why["rows"] = str(error)
    if done is not None and rows and done.details["way"] != "local":
        why["live"] = REMOTE if done.details["way"] != "aligned" else ALIGNED
    elif done is not None and rows:
        teacher, reason = _teacher(done.details["load"])
        if reason:
            why["live"] = reason
    try:
        report = audit(folder, rows, teacher, sample_rows=sample_rows)
    finally:
        if teacher is not None:
            teacher.release()
    return {"cache": str(folder), **report, "why": why}


def _rows(plan: dict[str, Any]) -> list[Any]:
    from distill.train.plan import TrainPlan
    from distill.train.stage import encoded_rows

    return encoded_rows(TrainPlan.from_dict(plan))[1]


def _teacher(load: dict[str, Any]) -> tuple[Any, str | None]:
    """The teacher again, or why it cannot be had."""
    from teachers.errors import ConfigError, MissingPackage
    from teachers.local_model import LocalModel

    try:
        return LocalModel.load(**load), None
    except (ConfigError, MissingPackage) as error:
        return None, str(error)


def _found(ref: str) -> tuple[Path, RunDirectory | None]:
    """The cache that a name stands for, and the run that it lies in."""
    for folder in (Path(ref), Path(ref) / FOLDER, Path(RUNS) / ref / FOLDER):
        if (folder / MANIFEST).is_file():
            run = folder.resolve().parent
            return folder, RunDirectory(run) if (run / "lock.json").is_file() else None
    problem = Problem(
        found=f"no signal cache {ref!r} here",
        allowed=f"a folder with a {MANIFEST}, a run's folder, or a run's name",
        fix="Capture one with: distill logits capture RECIPE",
    )
    raise UsageError(str(problem), [problem])
