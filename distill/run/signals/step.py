"""The step that captures what a teacher says about each token, before the student is trained."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import Problem, RecipeError
from distill.progress import Progress
from distill.recipe.signal_source import (
    SignalSource,
    answer_field,
    signal_source,
    sparse_signal,
)
from distill.recipe.task import labels_of
from distill.rows.dataset import read_dataset
from distill.run.context import Context, Outcome
from distill.run.models.local import load_plan
from distill.run.models.served_scorer import prompt_server
from distill.run.rows.steps import require_rows
from distill.run.signals.folder import make_room
from distill.run.signals.stored_answers import StoredAnswers
from teachers.config import OpenAITeacher
from teachers.prices import price_of

if TYPE_CHECKING:
    from distill.capture.result import Captured
    from distill.signals.settings import CaptureSettings
    from distill.signals.types import SignalRow
    from distill.train.plan import TrainPlan

FOLDER = "signals"
LONGEST = 1 << 20
"""Tokens of a row for a teacher that names no limit."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows whose signals are captured, in the student's tokens."""

    source: SignalSource
    settings: "CaptureSettings"
    tokenizer: Any
    rows: "Sequence[SignalRow]"
    folder: Path
    plan: "TrainPlan"
    """The training that will read them."""
    end_id: int | None
    """The student's token that ends an answer."""


def signals_step(context: Context) -> Outcome:
    """Fills the run's signal cache; what it holds already is not asked again."""
    from distill.run.train.step import student_plan
    from distill.train.cached_signal import signal_row
    from distill.train.stage import encoded_rows, student_end

    require_rows(context)
    source = signal_source(context.recipe)
    assert source is not None  # `check` refuses a recipe that names none
    # A local teacher may still be loaded for its answers; it is read in another way now.
    context.runner.run(context.teachers.close())
    plan = student_plan(context)
    tokenizer, rows = encoded_rows(plan)
    end_id = student_end(plan)
    folder = context.directory.root / FOLDER
    settings = capture_settings(context, source)
    asked = [signal_row(row) for row in rows]
    wanted = Wanted(source, settings, tokenizer, asked, folder, plan, end_id)
    context.listen(Progress("signals", 0, len(rows), {"from": source.teacher}))
    found = CAPTURES[source.way](context, wanted)
    for reason, count in found.text_only.items():
        context.say("signals", f"{count} rows are learnt from their text alone: {reason}")
    details = {
        "captured": found.as_dict() | {"folder": FOLDER},
        "teacher": source.teacher,
        "way": source.way,
        "load": load_plan(context.recipe, context.sources, source.teacher),
        "plan": {**plan.as_dict(), "weights": list(plan.weights)},
    }
    manifest = (folder / "manifest.json").read_bytes()
    return Outcome(hashlib.sha256(manifest).hexdigest(), {}, details)


def capture_settings(context: Context, source: SignalSource) -> "CaptureSettings":
    """What is kept, as the recipe says it.

    Raises: RecipeError.
    """
    from distill.signals.settings import CaptureSettings

    signal, train = sparse_signal(context.recipe), context.recipe.train
    assert signal is not None
    assert train is not None
    warm = train.loss.temperature
    temperatures = (warm,) if signal.kind == "topk" and warm != 1.0 else ()
    return CaptureSettings(
        kind=signal.kind,
        k=source.k,
        top_p=signal.top_p,
        min_k=min(signal.min_k, source.k),
        temperatures=temperatures,
        draws=signal.k if signal.kind == "sampled" else 1,
        seed=context.recipe.seed if signal.kind == "sampled" else 0,
        codec=signal.codec or ("sampled" if signal.kind == "sampled" else "set"),
    ).checked()


def _local(context: Context, wanted: Wanted) -> "Captured":
    from distill.capture.local import fill_cache

    plan = load_plan(context.recipe, context.sources, wanted.source.teacher)
    assert plan is not None
    with context.engine.reading(plan) as reader:
        identity = reader.identity(wanted.tokenizer, wanted.settings)
        make_room(wanted.folder, identity)
        return fill_cache(wanted.rows, reader, identity, wanted.folder, context.listen)


def _aligned(context: Context, wanted: Wanted) -> "Captured":
    """Each row once more in the teacher's own tokens and template."""
    from distill.capture.aligned import TwoWays, aligned_identity, capture_aligned
    from distill.train.cached_signal import signal_row
    from distill.train.stage import encoded_rows
    from teachers.local_model import LocalModel

    load = load_plan(context.recipe, context.sources, wanted.source.teacher)
    assert load is not None
    teacher = LocalModel.load(**load)
    try:
        make_room(wanted.folder, aligned_identity(teacher, wanted.tokenizer, wanted.settings))
        longest = teacher.context or LONGEST
        _, theirs = encoded_rows(
            replace(
                wanted.plan,
                base=teacher.source,
                student={"model": teacher.source},
                chat=teacher.chat,
                train={**wanted.plan.train, "max_length": longest},
            )
        )
        by_id = {row.id: signal_row(row) for row in theirs}
        return capture_aligned(
            [TwoWays(row, by_id[row.id]) for row in wanted.rows],
            teacher,
            wanted.tokenizer,
            {} if wanted.end_id is None else dict.fromkeys(teacher.end_ids, wanted.end_id),
            wanted.settings,
            wanted.folder,
            context.listen,
        )
    finally:
        teacher.release()


def _prompt(context: Context, wanted: Wanted) -> "Captured":
    from distill.capture.api import remote_identity
    from distill.capture.metering import Meter
    from distill.capture.served import capture_served

    name = wanted.source.teacher
    config = context.recipe.teachers[name]
    assert isinstance(config, OpenAITeacher)
    server = prompt_server(config)
    meter = Meter(name, price_of(config), context.teachers.budget, context.teachers.limits(name))
    known = config.identity or config.model
    make_room(wanted.folder, remote_identity(known, wanted.tokenizer, wanted.settings))
    return context.runner.run(
        capture_served(
            wanted.rows,
            server,
            wanted.tokenizer,
            wanted.settings,
            wanted.folder,
            context.listen,
            meter=meter,
        )
    )


def _answers(context: Context, wanted: Wanted) -> "Captured":
    from distill.capture.api import StoredAnswer, capture_answers, remote_identity

    config = context.recipe.teachers[wanted.source.teacher]
    known = config.identity or config.model or wanted.source.teacher
    allowed = labels_of(context.recipe.task) or []
    make_room(wanted.folder, remote_identity(known, wanted.tokenizer, wanted.settings, allowed))
    logprobs = _logprobs(context, wanted.source.teacher)
    answers = [StoredAnswer(row, logprobs.get(row.id)) for row in wanted.rows]
    return capture_answers(
        answers, known, wanted.tokenizer, wanted.settings, wanted.folder, context.listen, allowed
    )


def _logprobs(context: Context, teacher: str) -> Mapping[str, Any]:
    """Row id -> what the store says of the tokens of its answer."""
    recipe = context.recipe
    found = answer_field(recipe)
    if found is None or found[1].ask != teacher:
        problem = Problem(
            file=recipe._source,
            key="train.signal.from",
            found=f"{teacher!r} wrote no answer of these rows, so it told no probabilities",
            fix="Let it answer the task, or take a teacher that can score texts.",
        )
        raise RecipeError(str(problem), [problem])
    name, spec = found
    stored = StoredAnswers(recipe, name, spec, context.teachers.stored(teacher))
    answers = {}
    for split in ("train", "val"):
        if (context.directory.dataset / f"{split}.jsonl").is_file():
            for row in read_dataset(context.directory.dataset, split):
                answer = stored.of(row.fields, row.fields[recipe.task.output])
                answers[row.id] = answer.logprobs if answer else None
    return answers


CAPTURES: Mapping[str, Callable[[Context, Wanted], "Captured"]] = {
    "local": _local,
    "aligned": _aligned,
    "prompt": _prompt,
    "answers": _answers,
}
"""Way of `distill.recipe.signal_source` -> how it is carried out."""
