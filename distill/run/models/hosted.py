"""Trains a student on somebody else's servers: uploads the rows, follows the job, finds it again.

reserved (in the ledger) -> created (with our mark in its metadata) -> succeeded -> settled

The mark is a hash of all that the job learns from. A reservation that a crash left open says that
the job with that mark is ours to pay for; a job with it and no such reservation was paid before.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill.errors import DataError, Problem, RunError
from distill.evaluate.asking import ask_task
from distill.evaluate.metrics import Price as Rate
from distill.evaluate.stage import SystemResult
from distill.progress import Progress
from distill.recipe.hosted import SYSTEM, hosted_config
from distill.recipe.prompts import student_prompt
from distill.rows.dataset import DatasetRow, read_dataset
from distill.rows.row import canonical_json, digest
from distill.run.context import Context, Outcome
from distill.run.directory import Done
from distill.run.rows.steps import require_rows
from distill.run.teachers import STORE
from teachers.budget import JOB, Reservation
from teachers.build import build_adapter
from teachers.config import OpenAITeacher, Price
from teachers.credentials import credentials, urls_of
from teachers.effective import text_bound
from teachers.errors import TeacherError
from teachers.gateway import Gateway
from teachers.limits import Limits
from teachers.protocol import Usage
from teachers.store import Store

if TYPE_CHECKING:
    from teachers.openai_fine_tuning import OpenAIFineTuning, RemoteJob

LEAST_ROWS = 10
"""OpenAI refuses fewer."""
EPOCHS = 3
POLL_S = 30.0
"""The longest pause between two looks; the first ones are shorter."""
QUICK_S = 0.25
TELL_S = 600.0
"""A job's state is told when it changes, and this often."""
SUFFIX = 18
"""OpenAI takes a suffix of at most so many characters in every model's name."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be learned, and under which name."""

    base: str
    train: bytes
    val: bytes | None
    epochs: int
    most_tokens: int
    """An upper bound on the trained tokens."""
    mark: str


def train_hosted(context: Context) -> Outcome:
    """Has the student trained and says under which name it is served.

    Raises: BudgetReached, TeacherError, DataError for too few rows, RunError for a lost job.
    """
    require_rows(context)
    work = _work(context)
    job = context.runner.run(_trained(context, work))
    assert job.model is not None
    training = dict.fromkeys(
        ("steps", "loss_first", "loss_last", "tokens_per_s", "trainable", "trainable_share")
    )
    details = {
        "models": {},
        "hosted": {"student_before": work.base, "student": job.model},
        "job": job.id,
        "rates": {},
        "training": {**training, "tokens": job.trained_tokens},
        "pairs": [],
        "curves": {},
    }
    return Outcome(digest([job.model, work.mark]), {}, details)


def hosted_models(done: Done | None) -> dict[str, str]:
    """SYSTEM -> the name of the model at the service; empty for a student trained here."""
    return dict(done.details.get("hosted", {})) if done else {}


def hosted_result(
    context: Context,
    name: str,
    model: str,
    records: Sequence[Mapping[str, Any]],
    max_tokens: int,
) -> SystemResult:
    """What a hosted model says about held-out rows, asked as it was trained."""
    recipe = context.recipe
    assert recipe.student is not None
    config = hosted_config(recipe.student, model, max_tokens)
    context.teachers.add(name, config)
    shown, started = student_prompt(recipe), time.monotonic()
    answers = context.runner.run(
        ask_task(
            context.teachers[name],
            shown,
            records,
            max_tokens=max_tokens,
            in_flight=4 * config.concurrency,
            pattern=shown.task.answer_pattern,
        )
    )
    price = Rate(config.price.input, config.price.output) if config.price else None
    return SystemResult(name, answers, None, time.monotonic() - started, price)


@contextmanager
def hosted_student(settings: Mapping[str, Any]) -> Iterator[Gateway]:
    """An exported student that a service serves; its answers are stored, so none is paid twice.

    Raises: MissingKey.
    """
    config = OpenAITeacher(**settings)
    store = Store(STORE)
    try:
        adapter = build_adapter(config, SYSTEM)
        yield Gateway(adapter, config, name=SYSTEM, store=store, limits=Limits(config.concurrency))
    finally:
        store.close()


def _work(context: Context) -> _Work:
    student, train = context.recipe.student, context.recipe.train
    assert student is not None
    assert student.model is not None
    assert train is not None
    folder = context.directory.dataset
    rows = read_dataset(folder, "train")
    if len(rows) < LEAST_ROWS:
        problem = Problem(
            file=str(folder / "openai.jsonl"),
            found=f"{len(rows)} training rows",
            allowed=f"at least {LEAST_ROWS}",
            fix="Raise generate.accept, or loosen a filter.",
        )
        raise DataError(str(problem), [problem])
    held_out = read_dataset(folder, "val") if (folder / "val.jsonl").is_file() else []
    val = _lines(held_out) if held_out else None
    epochs = int(train.epochs or EPOCHS)
    bound = epochs * sum(text_bound(row.messages) for row in rows if row.messages)
    content = _lines(rows)
    learned = [content.decode(), val.decode() if val else None, epochs]
    settings = [student.model, student.hosted.hyperparameters, context.recipe.seed]
    return _Work(student.model, content, val, epochs, bound, digest([learned, settings])[:32])


def _lines(rows: list[DatasetRow]) -> bytes:
    """The messages alone, a row a line: what OpenAI's upload takes."""
    shown = ({"messages": row.as_dict()["messages"]} for row in rows)
    return "".join(canonical_json(row) + "\n" for row in shown).encode()


async def _trained(context: Context, work: _Work) -> "RemoteJob":
    from teachers.openai_fine_tuning import OpenAIFineTuning

    student, budget = context.recipe.student, context.teachers.budget
    assert student is not None
    config = hosted_config(student, work.base, 1)
    api = OpenAIFineTuning(urls_of(config)[0], credentials(config, urls_of(config)[0], os.environ))
    price = student.price.training if student.price else None
    key = f"{JOB}{work.mark}"
    try:
        job = await api.find(work.mark)
        if job is not None and not budget.is_left(key):
            context.say("train", f"job {job.id} learns, or has learnt, from the very same rows")
            job = await _followed(context, api, job)
        else:
            held = await budget.reserve(
                key=key,
                teacher=SYSTEM,
                price=None if price is None else Price(input=price, output=0.0),
                input_tokens=work.most_tokens,
                output_tokens=0,
            )
            job = await _followed(context, api, job or await _created(context, api, work, held))
            await _settled(context, held, job)
    finally:
        await api.close()
    if job.is_lost:
        raise _lost(job)
    return job


async def _created(
    context: Context, api: "OpenAIFineTuning", work: _Work, held: Reservation
) -> "RemoteJob":
    """A new job; where the answer to its creation was lost, the job is found by its mark."""
    student = context.recipe.student
    assert student is not None
    try:
        files = [await api.upload(work.train, "train.jsonl")]
        files += [await api.upload(work.val, "val.jsonl")] if work.val else []
        try:
            return await api.create(
                work.base,
                files[0],
                files[1] if work.val else None,
                work.mark,
                suffix=context.recipe.name[:SUFFIX],
                seed=context.recipe.seed,
                hyperparameters={"n_epochs": work.epochs, **student.hosted.hyperparameters},
            )
        except TeacherError:
            if (found := await api.find(work.mark)) is not None:
                return found
            raise
    except TeacherError as error:
        if not error.retryable:  # a later call may find that it was created all the same
            await context.teachers.budget.refund(held)
        raise


async def _followed(context: Context, api: "OpenAIFineTuning", job: "RemoteJob") -> "RemoteJob":
    """The job once it has ended; what is told of it in between is where it stands."""
    started, said, said_at, pause = time.monotonic(), "", 0.0, QUICK_S
    while True:
        if job.status != said or time.monotonic() - said_at >= TELL_S:
            minutes = (time.monotonic() - started) / 60
            context.say("train", f"job {job.id}: {job.status}, followed for {minutes:.0f} min")
            said, said_at = job.status, time.monotonic()
        if job.is_ended:
            context.listen(Progress("train student", 1, 1))
            return job
        await asyncio.sleep(pause)
        pause = min(POLL_S, pause * 1.5)
        try:
            job = await api.read(job.id)
        except TeacherError as error:
            if not error.retryable:
                raise
            context.say("train", f"job {job.id}: {error}")


async def _settled(context: Context, held: Reservation, job: "RemoteJob") -> None:
    if job.is_lost:
        await context.teachers.budget.refund(held)
    elif job.trained_tokens is None:
        context.teachers.budget.abandon(held, billed=True)
    else:
        await context.teachers.budget.settle(held, Usage(job.trained_tokens, 0))


def _lost(job: "RemoteJob") -> RunError:
    problem = Problem(
        found=f"the fine-tuning job {job.id} {job.status}: {job.fault or 'no reason was given'}",
        fix="Mend what it names and run the same command: a new job is started.",
    )
    return RunError(str(problem), [problem])
