"""Walks a recipe's stages: does what is missing or stale, skips the rest, ends with the report."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from distill.errors import (
    DistillError,
    PrerequisiteError,
    Problem,
    RecipeError,
    RunError,
    UsageError,
)
from distill.progress import Listener, Progress, silent
from distill.recipe.check import check
from distill.recipe.expand import expand
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import captured_in_run, sparse_signal
from distill.rows.readers import read_numbered
from distill.rows.row import digest
from distill.run import keys, ledger
from distill.run.context import Context, Outcome
from distill.run.directory import RUNS, STAGES, Done, RunDirectory, held, now
from distill.run.engines import engine_of
from distill.run.evaluate.against import require_against
from distill.run.evaluate.step import evaluate_step, refuse_below
from distill.run.export.step import export_slice, export_step
from distill.run.lock import lock
from distill.run.models.made import teacher_sources
from distill.run.nodes import Meeting, launched_place, on_nodes, refuse_beside_launcher
from distill.run.packages import require_extras, require_launcher
from distill.run.plan.probe import probed_generate_step
from distill.run.report import write_report
from distill.run.review.step import merged_state, review_slice, review_step
from distill.run.rows.steps import filter_state, filter_step, limit_error, split_step
from distill.run.signals.step import signals_step
from distill.run.teachers import TeacherPool
from distill.run.train.step import train_step
from teachers.errors import (
    BudgetReached,
    ConfigError,
    MissingKey,
    MissingPackage,
    StorageError,
    TeacherError,
)


@dataclass(frozen=True, slots=True)
class Step:
    """How one stage is keyed and carried out."""

    name: str
    follows: tuple[str, ...]
    """Stages whose outputs it reads."""
    slice: Callable[[Recipe, keys.Sources], dict[str, Any]]
    """What it depends on beside those."""
    work: Callable[[Context], Outcome]
    state: Callable[[Recipe, RunDirectory], Any] | None = None
    """What it depends on that people put into the run directory."""


STEPS = {
    step.name: step
    for step in (
        Step("generate", (), keys.generate_slice, probed_generate_step),
        Step(
            "filter",
            ("generate",),
            keys.filter_slice,
            filter_step,
            filter_state,
        ),
        Step(
            "review",
            ("filter",),
            review_slice,
            review_step,
            lambda _, directory: merged_state(directory),
        ),
        Step("split", ("filter", "review"), keys.split_slice, split_step),
        Step("signals", ("split",), keys.signals_slice, signals_step),
        Step("train", ("split", "signals"), keys.train_slice, train_step),
        Step("evaluate", ("split", "train"), keys.evaluate_slice, evaluate_step),
        Step("export", ("train", "evaluate"), export_slice, export_step),
    )
}


def stages_of(recipe: Recipe, until: str | None = None, *, reviewed: bool = False) -> list[str]:
    """The stages that a recipe has, in order, up to and including `until`.

    `reviewed` says that people have merged reviews into the run, whatever the recipe says.

    Raises: UsageError for a stage that does not exist or that the recipe does not have, RecipeError
    where nothing makes rows.
    """
    if recipe.generate is None:
        problem = Problem(
            file=recipe._source,
            key="generate",
            found="nothing makes rows, so there is nothing to run",
            fix="Give `generate`, for example {strategy: label_pool, ask: TEACHER}.",
        )
        raise RecipeError(str(problem), [problem])
    wanted = ["generate", "filter", "split"]
    if recipe.review or reviewed:
        wanted.append("review")
    if recipe.student and recipe.train:
        wanted += ["train", "export"]
    if recipe.student and (
        captured_in_run(recipe) or (until == "signals" and sparse_signal(recipe))
    ):
        wanted.append("signals")
    if recipe.evaluate:
        wanted.append("evaluate")
    wanted.sort(key=STAGES.index)
    if until is None:
        return wanted
    if until not in wanted:
        what = (
            f"this recipe has no stage {until!r}" if until in STAGES else f"unknown stage {until!r}"
        )
        problem = Problem(found=what, file=recipe._source, allowed=", ".join(wanted))
        raise UsageError(str(problem), [problem])
    return wanted[: wanted.index(until) + 1]


def run_recipe(
    recipe: Recipe,
    *,
    run_dir: str | Path | None = None,
    until: str | None = None,
    listen: Listener = silent,
    processes: int | None = None,
    hostfile: Path | None = None,
    retry_failed: bool = False,
    spending: Path | None = None,
    meeting: Meeting | None = None,
) -> dict[str, Any]:
    """Runs or continues a recipe and returns its report, which is empty on a rank that follows.

    `retry_failed` asks again what failed in an earlier call; `spending` is the ledger that calls
    are booked in, where it is not the run's own; `meeting` the ranks that already wait.
    Raises: DistillError; see distill.errors for what each kind means.
    """
    if meeting is None and (place := launched_place()) is not None:
        refuse_beside_launcher(processes, hostfile)
        again = partial(run_recipe, recipe, run_dir=run_dir, until=until, listen=listen)
        more = partial(again, retry_failed=retry_failed, spending=spending)
        return on_nodes(place, lambda found: more(meeting=found))
    recipe = expand(recipe)
    refuse_problems(recipe)
    directory = RunDirectory(Path(run_dir) if run_dir else Path(RUNS) / recipe.name)
    reviewed = bool(merged_state(directory))
    stages = stages_of(recipe, until, reviewed=reviewed)
    require_extras(recipe, stages)
    if "evaluate" in stages:
        require_against(recipe)
    if hostfile is not None:
        require_launcher(hostfile)
    with held(directory), _readable_errors(recipe, directory):
        _write_recipe(recipe, directory)
        if retry_failed:
            _reopen_failed(directory)
        if not (recipe.review or reviewed):
            directory.reopen("review")  # of an earlier recipe: its rows are not these
        sources = teacher_sources(
            recipe,
            directory,
            listen,
            lambda made, where: run_recipe(made, run_dir=where, listen=listen, meeting=meeting),
        )
        pool = TeacherPool(
            recipe,
            directory.ledger,
            sources,
            spending=spending,
            retry_failed=retry_failed,
            listen=listen,
        )
        engine = engine_of(recipe)
        with closing(engine), pool as teachers, asyncio.Runner() as runner:
            context = Context(
                recipe, directory, teachers, sources, runner, listen, processes, hostfile, engine,
                meeting,
            )  # fmt: skip
            try:
                for name in stages:
                    bring_up_to_date(context, STEPS[name])
            except BaseException as error:
                _close_after(error, context)
                raise
            runner.run(teachers.close())
            report = write_report(context)
    refuse_below(recipe, report)
    return report


def _reopen_failed(directory: RunDirectory) -> None:
    """Marks as not finished what holds rows that a teacher did not answer."""
    made, sifted = directory.done("generate"), directory.done("filter")
    unanswered = sifted and any(
        reason.endswith(":unanswered") for reason in sifted.counts["reasons"]
    )
    if made and (made.counts["failed"] or unanswered):
        directory.reopen("generate")
    if unanswered:
        directory.reopen("filter")


def _close_after(error: BaseException, context: Context) -> None:
    """Leaves a readable run behind; what goes wrong here must not hide the cause."""
    with suppress(Exception):
        ledger.record(context.directory.ledger, None, "stopped", {"why": type(error).__name__})
    with suppress(Exception):
        context.runner.run(context.teachers.close())
    with suppress(Exception):
        write_report(context)


def refuse_problems(recipe: Recipe) -> None:
    """Raises RecipeError or PrerequisiteError with everything that `check` finds."""
    found = check(recipe, os.environ, read_numbered)
    if found.problems:
        raise RecipeError(str(found.problems[0]), found.problems)
    if found.missing_keys:
        raise PrerequisiteError(str(found.missing_keys[0]), found.missing_keys)


def bring_up_to_date(context: Context, step: Step) -> None:
    """Does a stage again unless its done.json carries today's key."""
    directory = context.directory
    inputs: dict[str, Any] = {
        name: done.outputs for name in step.follows if (done := directory.done(name))
    }
    parts = [step.name, inputs, step.slice(context.recipe, context.sources)]
    key = digest([*parts, step.state(context.recipe, directory)] if step.state else parts)
    before = directory.done(step.name)
    if before and before.key == key:
        context.listen(Progress(step.name, 1, 1, note="up to date"))
        return
    directory.reopen(step.name)
    started, clock = now(), time.monotonic()
    ledger.record(directory.ledger, step.name, "started", {"key": key})
    outcome = step.work(context)
    seconds = time.monotonic() - clock
    directory.finish(
        step.name, Done(key, outcome.outputs, outcome.counts, started, seconds, outcome.details)
    )
    ledger.record(directory.ledger, step.name, "finished", {"seconds": seconds, **outcome.counts})


def _write_recipe(recipe: Recipe, directory: RunDirectory) -> None:
    source = Path(recipe._source)
    if source.is_file():
        from distill.rows.atomic import atomic_file

        with atomic_file(directory.root / "recipe.yaml") as file:
            file.write(source.read_text("utf-8"))
    before = directory.read_json("lock.json") or {}
    content = lock(recipe)
    content["started"] = before.get("started", now())
    directory.write_json(directory.root / "lock.json", content)


class _readable_errors:
    """Turns what teachers and the disk raise into errors that say what to do."""

    def __init__(self, recipe: Recipe, directory: RunDirectory) -> None:
        self._recipe = recipe
        self._directory = directory

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, DistillError):
            return
        if (readable := readable_error(error, self._recipe, self._directory)) is not None:
            raise readable from error


def readable_error(
    error: BaseException, recipe: Recipe, directory: RunDirectory
) -> DistillError | None:
    """What a user is told of an error from below, None where it is a fault of ours."""
    again = "Run the same command to continue; nothing paid is asked again."
    told = str(error).rstrip(". ")
    match error:
        case MissingKey():
            return PrerequisiteError(told)
        case MissingPackage():
            return PrerequisiteError(told)
        case BudgetReached():
            return limit_error(recipe, told)
        case StorageError():
            return RunError(told)
        case TeacherError():
            return _run_error(told, again)
        case ConfigError():
            return RecipeError(told)
        case OSError() if error.filename or error.errno:
            where = Path(str(error.filename or directory.root))
            return _run_error(str(error.strerror or error), again, where)
        case _ if "No space left" in told:
            # safetensors reports a full disk in an exception of its own.
            return _run_error("the disk is full", f"Free some space. {again}", directory.root)
    return None


def _run_error(found: str, fix: str, file: Path | None = None) -> RunError:
    problem = Problem(found=found, file=str(file) if file else None, fix=fix)
    return RunError(str(problem), [problem])
