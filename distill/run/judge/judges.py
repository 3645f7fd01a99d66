"""Finds a judge by its name on the command line, asks it about rows, and counts what that cost."""

import asyncio
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from distill.errors import DataError, PrerequisiteError, Problem, UsageError
from distill.judge.columns import Kind
from distill.judge.form import FACTS, JudgeForm
from distill.judge.judge import Judge
from distill.judge.labels import Unreadable, read_score
from distill.judge.results import Comparison, Grade
from distill.judge.rows import JudgeData, JudgeRow
from distill.judge.verdicts import ORDERS, Verdict
from distill.progress import Listener, Progress
from distill.recipe.bundled_rubrics import bundled_rubrics, rubric_source, told
from distill.recipe.defaults import STUDENT_PROMPTS
from distill.recipe.load import load_recipe
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.recipe.task import JudgeAbsoluteTask, JudgePairwiseTask
from distill.recipe.templates import Template
from distill.rows.atomic import atomic_file, storage_error
from distill.rows.readers import read_records, read_utf8
from distill.run.directory import RUNS, RunDirectory
from distill.run.models.made import teacher_sources
from distill.run.teachers import TeacherPool
from distill.run.walk import readable_error, run_recipe
from teachers.errors import BudgetReached, ConfigError, MissingPackage, TeacherError

CHUNK = 256
ANSWER_TOKENS = 512
USAGE_DIRECTORY = ".judge"
"""Below RUNS: the ledger of teachers that are asked as judges, so that their caps hold."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
EXTRA_FIELDS = ("rubric", "reference", "context")


def ask_judge(
    ref: str, data: JudgeData, listen: Listener, *, force: bool = False, all_rows: bool = False
) -> tuple[list[Verdict], dict[str, Any]]:
    """The verdicts of a judge on rows, pairs in both orders, and what they cost.

    Args:
        ref: An exported folder, a run, or RECIPE:TEACHER.
        data: The rows.
        listen: Told how far it is.
        force: Take a folder whose prompt is not the one of its training.
        all_rows: Ask about rows without a gold verdict too.

    Raises: UsageError, DataError, PrerequisiteError, BudgetPaused.
    """
    folder = judge_folder(ref)
    if folder is None:
        return _ask_teacher(ref, data, listen, all_rows)
    judge = Judge.load(folder, force=force)
    if judge.form.pairwise != (data.kind == "pairwise"):
        made = "compares" if judge.form.pairwise else "grades"
        problem = Problem(f"this judge {made}; the rows are {data.kind}", file=str(folder))
        raise UsageError(str(problem), [problem])
    try:
        return _ask(judge, data, listen, all_rows)
    except (ConfigError, MissingPackage) as error:
        kind = PrerequisiteError if isinstance(error, MissingPackage) else DataError
        raise kind(str(error)) from error
    finally:
        judge.close()


def judge_folder(ref: str) -> Path | None:
    """The exported folder that a name means; None where it can only be RECIPE:TEACHER.

    Raises: UsageError where there is nothing of that name.
    """
    for folder in (Path(ref), Path(ref) / "student", Path(RUNS) / ref / "student"):
        if (folder / FACTS).is_file():
            return folder
    if ":" in ref and not Path(ref).exists():
        return None
    problem = Problem(
        f"{ref!r} is no judge",
        allowed="a folder that distill export wrote, a run with a student, or RECIPE:TEACHER",
        fix="Train one first: distill run RECIPE",
    )
    raise UsageError(str(problem), [problem])


def load_judge(ref: str, *, force: bool = False) -> Judge:
    """A judge of this machine: an exported folder or a run's student.

    Raises: UsageError, DataError.
    """
    folder = judge_folder(ref)
    if folder is None:
        problem = Problem(
            f"{ref!r} names a teacher", allowed="an exported folder, or a run with a student"
        )
        raise UsageError(str(problem), [problem])
    return Judge.load(folder, force=force)


def judge_file(judge: Judge, source: Path, to: Path, *, swap: bool, listen: Listener) -> int:
    """Writes every row of a file with the judge's typed result in `judge`, as JSON lines.

    Raises: DataError for rows that lack what the judge reads, DistillError when the disk fails.
    """
    records = read_records(source)
    needed = ("instruction", "a", "b") if judge.form.pairwise else ("instruction", "response")
    for place, record in enumerate(records, 1):
        if missing := [name for name in needed if record.get(name) is None]:
            problem = Problem(
                f"row {place} lacks {', '.join(missing)}", str(source), allowed=", ".join(needed)
            )
            raise DataError(str(problem), [problem])
    blank = dict.fromkeys(EXTRA_FIELDS)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(to) as file:
            for at in range(0, len(records), CHUNK):
                part = [{**blank, **record} for record in records[at : at + CHUNK]]
                found: Sequence[Grade | Comparison] = (
                    judge.compare_batch(part, swap=swap)
                    if judge.form.pairwise
                    else judge.grade_batch(part)
                )
                for record, one in zip(records[at : at + CHUNK], found, strict=True):
                    line = {**record, "judge": asdict(one)}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                listen(Progress("judge", at + len(part), len(records)))
    except OSError as error:
        raise storage_error(error, to) from error
    return len(records)


def one_row(
    judge: Judge,
    row: Mapping[str, str | None],
    rubric: str | None,
    reference: str | None,
    *,
    swap: bool,
) -> Grade | Comparison:
    """What the judge says of one row; a rubric may be a bundled name or a .md file.

    Raises: UsageError naming the options that lack.
    """
    if missing := [f"--{name}" for name, value in row.items() if value is None]:
        problem = Problem(f"{', '.join(missing)} is missing", fix="Give it, or a FILE and --to.")
        raise UsageError(str(problem), [problem])
    text = told(_rubric_text(rubric), rubric) if rubric else rubric
    asked = {**row, "rubric": text, "reference": reference, "context": None}
    if judge.form.pairwise:
        return judge.compare_batch([asked], swap=swap)[0]
    return judge.grade_batch([asked])[0]


def _rubric_text(rubric: str) -> str:
    ours = rubric in bundled_rubrics() or not rubric.endswith(".md")
    return rubric_source(None, rubric) if ours else read_utf8(Path(rubric))


def serving_token(name: str | None) -> str:
    """The token of an environment variable, else a new one.

    Raises: PrerequisiteError where the variable is not set.
    """
    if name is None:
        return secrets.token_urlsafe(24)
    if value := os.environ.get(name):
        return value
    problem = Problem(f"the variable {name} is not set", fix=f"export {name}=...")
    raise PrerequisiteError(str(problem), [problem])


async def serve_judge(
    ref: str, host: str, port: int, token: str, tell: Callable[[str], None]
) -> None:
    """Serves a judge until it is interrupted; `tell` gets the address once it listens.

    Raises: UsageError where the port is taken.
    """
    from aiohttp import web

    from distill.judge.server import judge_application

    judge = load_judge(ref)
    runner = web.AppRunner(judge_application(judge, token, ref), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            problem = Problem(f"port {port}: {error.strerror}", fix="Give another --port.")
            raise UsageError(str(problem), [problem]) from error
        tell(f"http://{host}:{runner.addresses[0][1]}")
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def _ask_teacher(
    ref: str, data: JudgeData, listen: Listener, all_rows: bool
) -> tuple[list[Verdict], dict[str, Any]]:
    """A recipe's teacher as the judge, behind its gateway: its caps and its store hold."""
    name, _, teacher = ref.rpartition(":")
    recipe = load_recipe(name)
    if teacher not in recipe.teachers:
        problem = Problem(
            f"no teacher {teacher!r}", file=recipe._source, allowed=", ".join(recipe.teachers)
        )
        raise UsageError(str(problem), [problem])
    directory = RunDirectory(Path(RUNS) / USAGE_DIRECTORY / recipe.name)
    directory.root.mkdir(parents=True, exist_ok=True)
    sources = teacher_sources(
        recipe, directory, listen, lambda made, where: run_recipe(made, run_dir=where)
    )
    with TeacherPool(recipe, directory.ledger, sources) as pool:
        judge = Judge(
            pool[teacher], JudgeForm(teacher_prompt_for(recipe, data.kind), ANSWER_TOKENS)
        )
        try:
            return _ask(judge, data, listen, all_rows)
        except (TeacherError, BudgetReached, ConfigError, MissingPackage, OSError) as error:
            raise readable_error(error, recipe, directory) or error from error
        finally:
            judge.close()


def teacher_prompt_for(recipe: Recipe, kind: Kind) -> TaskPrompt:
    """The recipe's own judge prompt where its task is of this kind, else ours."""
    if recipe.task.kind == f"judge_{kind}":
        return TaskPrompt.from_recipe(recipe)
    task = (
        JudgePairwiseTask(kind="judge_pairwise")
        if kind == "pairwise"
        else JudgeAbsoluteTask(kind="judge_absolute")
    )
    return TaskPrompt(task, Template(STUDENT_PROMPTS[task.kind], f"the {task.kind} prompt"))


def _ask(
    judge: Judge, data: JudgeData, listen: Listener, all_rows: bool
) -> tuple[list[Verdict], dict[str, Any]]:
    rows = [row for row in data.rows if all_rows or row.gold is not None]
    verdicts: list[Verdict] = []
    grades: list[Grade] = []
    started = time.monotonic()
    for at in range(0, len(rows), CHUNK):
        part = rows[at : at + CHUNK]
        asked = [shown(row) for row in part]
        if data.kind == "pairwise":
            for row, compared in zip(part, judge.compare_batch(asked), strict=True):
                verdicts += pair_verdicts(row.id, compared)
                grades += compared.grades
        else:
            found = judge.grade_batch(asked)
            verdicts += [score_verdict(row.id, one) for row, one in zip(part, found, strict=True)]
            grades += found
        listen(Progress("judge", min(at + CHUNK, len(rows)), len(rows)))
    return verdicts, cost_of(grades, len(rows), time.monotonic() - started)


def shown(row: JudgeRow) -> dict[str, Any]:
    """What the judge's prompt may name."""
    names = ("a", "b") if len(row.answers) == 2 else ("response",)
    answers = {name: str(text) for name, text in zip(names, row.answers, strict=True)}
    extra = {name: row.fields.get(name) for name in EXTRA_FIELDS}
    return {**row.fields, "instruction": row.instruction, **answers, **extra}


def pair_verdicts(row_id: str, found: Comparison) -> list[Verdict]:
    """The readings of a pair as verdicts about content."""
    winners = (found.order1, found.order2)
    return [
        Verdict(row_id, winner, order, _p(grade), grade.raw, grade.truncated)
        for winner, order, grade in zip(winners, ORDERS, found.grades, strict=False)
    ]


def score_verdict(row_id: str, found: Grade) -> Verdict:
    """A grade as a verdict; pass and fail are 1 and 0, as in the data."""
    try:
        value = read_score(found.score)
    except Unreadable:
        value = None
    return Verdict(row_id, value, "ab", _p(found), found.raw, found.truncated)


def cost_of(grades: Sequence[Grade], rows: int, seconds: float) -> dict[str, Any]:
    """Requests, tokens, money and speed."""
    known = [grade.cost_usd for grade in grades if grade.cost_usd is not None]
    usd = sum(known) if known and len(known) == len(grades) else None
    return {
        "requests": sum(grade.tries for grade in grades),
        "input_tokens": sum(grade.input_tokens for grade in grades),
        "output_tokens": sum(grade.output_tokens for grade in grades),
        "usd": usd,
        "usd_per_1000": None if usd is None or not rows else 1000 * usd / rows,
        "seconds": seconds,
        "rows_per_s": rows / seconds if seconds and rows else None,
    }


def _p(grade: Grade) -> float | None:
    if grade.probs is None or grade.score is None:
        return None
    lower: Mapping[str, float] = {name.lower(): p for name, p in grade.probs.items()}
    return lower.get(str(grade.score).lower())
