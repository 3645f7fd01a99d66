"""Train one student as its plan says, in this process: alone, or one of several under a launcher.

A training that was interrupted continues from its last checkpoint; one that has finished is not run
again. Only rank 0 writes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from distill.errors import DataError, Problem, RecipeError
from distill.progress import Listener, Progress
from distill.recipe.prompts import TaskPrompt
from distill.recipe.student import Student
from distill.recipe.training import ForwardKL, Loss, Train
from distill.signals.dense import TokenTeacher
from distill.signals.vocabulary import shared_width
from distill.train.arguments import Shape, check_built
from distill.train.cached_signal import CachedSignal
from distill.train.checkpoints import save, train_from_last
from distill.train.classifier import train_classifier
from distill.train.collate import (
    Blend,
    Collator,
    EncodedPair,
    EncodedRow,
    OrderedRows,
    PairCollator,
)
from distill.train.deepspeed_config import is_stage_3
from distill.train.early_stop import require_val, stops
from distill.train.hidden import add_projector
from distill.train.on_policy import OnPolicyTrainer, Writer
from distill.train.outcome import training_result
from distill.train.plan import TrainPlan, TrainResult, finished
from distill.train.preference import PreferenceTrainer
from distill.train.rows import EncodedRows, RowFormat, encode_file
from distill.train.scored_signal import ScoredSignal
from distill.train.start import started
from distill.train.student import load_student, load_student_tokenizer
from distill.train.teacher_states import check_teacher, one_state, teacher_states
from distill.train.trainer import DistillTrainer, Objective, TeacherSignal, TellProgress
from distill.train.verdict_rows import AnswerScale, VerdictCollator, judged_rows
from distill.train.verdict_targets import Shares, left_to_text, shares_of
from distill.train.verdict_trainer import VerdictTrainer
from teachers import chat_format
from teachers.local_loading import quiet
from teachers.threads import fit_threads


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Everything that can be wrong, looked at before a weight is loaded."""

    train: Train
    student: Any
    tokenizer: Any
    rows: EncodedRows
    val: EncodedRows | None
    blends: Sequence[Blend]
    ends: tuple[int, ...]
    """Tokens that end an answer."""
    scale: AnswerScale | None = None
    """The allowed answers, where the loss compares them."""


def train(plan: TrainPlan, teacher: Callable[[], Any] | None, listen: Listener) -> TrainResult:
    """Train the plan's student and return what came of it; `out_dir` then holds the weights.

    `teacher` builds, when its turn has come in this process, the TokenTeacher of a dense signal, or
    the TokenScorer of what the student writes.
    Raises: RecipeError, DataError.
    """
    if (done := finished(plan)) is not None:
        return done
    quiet()
    if plan.student.get("kind") == "classifier":
        return train_classifier(plan, listen)
    ready = _prepare(plan)
    signal = _cached(plan, ready)
    if ready.train.signal.kind == "dense" and teacher is None:
        raise RecipeError("train.signal: a dense signal needs a local teacher")
    rows, val = len(ready.rows.rows), ready.val is not None
    shape, args = started(plan, ready.train, ready.student, rows=rows, val=val)
    # ZeRO-3 shards what is loaded while this object lives, so the student comes first.
    model = load_student(plan.base, ready.student, cpu=args.use_cpu, seed=plan.seed)
    reader = _reader(ready, teacher, args)
    if reader is not None:
        width = shared_width(ready.tokenizer, reader.tokenizer)
        check_teacher(reader, width, ready.rows.rows, args.device)
    if reader is not None and ready.train.hidden is not None:
        add_projector(model, one_state(reader, args.device).shape[-1], plan.seed)
    if reader is None:  # a teacher is the larger one, and has chosen already
        fit_threads(model.num_parameters())
    source: CachedSignal | ScoredSignal | TokenTeacher | None = signal or reader
    if _scores(ready.train):
        if teacher is None:
            raise RecipeError("train.signal: nobody scores what the student writes")
        source = ScoredSignal(teacher(), ready.tokenizer)
    shares: Shares | None = None
    if ready.scale is not None:
        assert not isinstance(source, ScoredSignal)  # `check` refuses it
        shares = shares_of(_rows(ready), source, ready.tokenizer, args.device)
        ready, source = _told(ready, shares), None
        count = sum(row.key in shares for row in ready.rows.rows)
        words = f"{plan.arm}: {count} of {len(ready.rows.rows)} rows have a verdict to learn"
        listen(Progress("train", 0, shape.steps, note=words))
    trainer, progress = _trainer(plan, ready, shape, args, model, source, listen, shares)
    restarts = train_from_last(plan, trainer, listen)
    cut = ready.rows.truncated
    result = training_result(plan, ready.train, shape, trainer, progress, truncated=cut)
    told = trainer.verdicts_measured if isinstance(trainer, VerdictTrainer) else None
    result = replace(result, pairs=_pairs(trainer), verdicts=told, restarts=restarts)
    if reader is not None:
        reader.release()
    save(plan, ready.tokenizer, trainer, result)
    return result


def _prepare(plan: TrainPlan) -> _Prepared:
    settings = Train.model_validate(dict(plan.train))
    check_built(settings)
    student: Any = TypeAdapter(Student).validate_python(dict(plan.student))
    tokenizer, generation = load_student_tokenizer(plan.base, student)
    chat = chat_format.has_chat_template(tokenizer) if plan.chat is None else plan.chat
    ends = chat_format.end_ids(tokenizer, generation)
    end_id = chat_format.closing_id(tokenizer, chat=chat, ends=ends)
    form = RowFormat(tokenizer, chat, end_id, plan.output, settings.max_length)
    prompt = _verdict_prompt(plan, settings)

    def read(path: Path, first_key: int) -> EncodedRows:
        found = encode_file(path, form, first_key=first_key)
        if prompt is None:
            return found
        judged = judged_rows(path, found.rows, form, prompt, plan.soft)
        return replace(found, rows=judged)

    rows = read(Path(plan.rows_path), 0)
    # A small dataset may leave no row for val; its file is empty then.
    held_out = plan.val_path and Path(plan.val_path).stat().st_size > 0
    val: EncodedRows | None = None
    if plan.val_path and held_out:
        val = read(Path(plan.val_path), len(rows.rows))
    _check_kind(rows, settings, plan.rows_path)
    require_val(settings, val is not None)
    blends = _blends(plan, form, len(rows.rows) + (len(val.rows) if val else 0))
    scale = None if prompt is None else AnswerScale(prompt)
    return _Prepared(settings, student, tokenizer, rows, val, blends, ends, scale)


def _verdict_prompt(plan: TrainPlan, settings: Train) -> TaskPrompt | None:
    """What rows with a verdict are read by, where the loss looks at it."""
    if settings.loss.kind != "verdict" or settings.objective != "distill":
        return None
    if plan.prompt is None:
        raise RecipeError("train.loss: the verdict's plan needs the task's prompt")
    return TaskPrompt.from_dict(plan.prompt)


def _told(ready: _Prepared, shares: Shares) -> _Prepared:
    """The same; verdicts of which nothing is told are learnt from their text."""
    rows = replace(ready.rows, rows=left_to_text(ready.rows.rows, shares))
    val = ready.val and replace(ready.val, rows=left_to_text(ready.val.rows, shares))
    return replace(ready, rows=rows, val=val)


def _check_kind(rows: EncodedRows, train: Train, path: str) -> None:
    pairs = isinstance(rows.rows[0], EncodedPair)
    if pairs == (train.objective == "dpo"):
        return
    found = (
        f"{'preferences' if pairs else 'single answers'} cannot be learnt with {train.objective}"
    )
    fix = "Give rows {prompt, chosen, rejected}, or train.objective: distill."
    problem = Problem(found, file=path, key="train.objective", fix=fix)
    raise DataError(found, [problem])


def _blends(plan: TrainPlan, form: RowFormat, first_key: int) -> list[Blend]:
    blends = []
    for spec in plan.mix:
        path = Path(spec["rows_path"])
        rows = encode_file(path, form, first_key=first_key, text_only=True).rows
        first_key += len(rows)
        blends.append(Blend(rows, spec["share"]))
    return blends


def encoded_rows(plan: TrainPlan) -> tuple[Any, list[EncodedRow]]:
    """The student's tokenizer, and every row that the plan trains or validates on.

    Raises: RecipeError, DataError.
    """
    ready = _prepare(plan)
    return ready.tokenizer, _rows(ready)


def student_end(plan: TrainPlan) -> int | None:
    """The token with which the plan's student ends a complete answer."""
    student: Any = TypeAdapter(Student).validate_python(dict(plan.student))
    tokenizer, generation = load_student_tokenizer(plan.base, student)
    chat = chat_format.has_chat_template(tokenizer) if plan.chat is None else plan.chat
    ends = chat_format.end_ids(tokenizer, generation)
    return chat_format.closing_id(tokenizer, chat=chat, ends=ends)


def _rows(ready: _Prepared) -> list[Any]:
    return [*ready.rows.rows, *(ready.val.rows if ready.val else ())]


def _cached(plan: TrainPlan, ready: _Prepared) -> CachedSignal | None:
    """The cache that the plan names, once it is known to be that of its rows."""
    kind = ready.train.signal.kind
    if kind in ("text", "dense") or _scores(ready.train):
        return None
    if plan.signals is None:
        raise RecipeError(f"train.signal: a {kind} signal needs its cache")
    mixed = [row for blend in ready.blends for row in blend.rows]
    return CachedSignal.opened(plan.signals, [*_rows(ready), *mixed], ready.tokenizer)


def _scores(train: Train) -> bool:
    """Whether a teacher is asked what each token is worth as the student writes it."""
    return train.signal.kind == "token" and bool(train.on_policy)


def _reader(
    ready: _Prepared, teacher: Callable[[], TokenTeacher] | None, args: Any
) -> TokenTeacher | None:
    """The teacher that reads beside the student, where the signal needs one."""
    dense = ready.train.signal.kind == "dense"
    return _whole(teacher, args) if dense and teacher is not None else None


def _whole(build: Callable[[], TokenTeacher], args: Any) -> TokenTeacher:
    """The teacher, its weights whole on every rank also where the student's are sharded."""
    sharding = getattr(args, "hf_deepspeed_config", None)  # set with DeepSpeed only
    if sharding is None or not is_stage_3(sharding.config):
        return build()
    from transformers.integrations.deepspeed import (
        set_hf_deepspeed_config,
        unset_hf_deepspeed_config,
    )

    unset_hf_deepspeed_config()
    try:
        return build()
    finally:
        set_hf_deepspeed_config(sharding)


def _trainer(
    plan: TrainPlan,
    ready: _Prepared,
    shape: Shape,
    args: Any,
    model: Any,
    source: CachedSignal | ScoredSignal | TokenTeacher | None,
    listen: Listener,
    shares: Shares | None = None,
) -> tuple[DistillTrainer, TellProgress]:
    from transformers.trainer_callback import PrinterCallback

    order = OrderedRows(
        ready.rows.rows,
        steps=shape.steps,
        batch=shape.batch,
        seed=plan.seed,
        blends=ready.blends,
    )
    progress = TellProgress(listen, order.tokens_of_steps(shape.batch))
    collator = _collator(ready, model)
    val = ready.val.rows if ready.val else ()
    signal: TeacherSignal | None = None
    own = source if isinstance(source, ScoredSignal) else None
    if isinstance(source, CachedSignal):
        signal = source
    elif source is not None and not isinstance(source, ScoredSignal):
        width = shared_width(ready.tokenizer, source.tokenizer)
        # What the student will write nobody can have read before.
        visits = 0 if ready.train.on_policy else len(order)
        signal = teacher_states(source, width, _rows(ready), collator, args.device, visits=visits)
    given = {
        "model": model,
        "args": args,
        "train_dataset": order,
        "objective": Objective(_loss(ready.train), signal, hidden=ready.train.hidden),
        "collator": collator,
        "val": val,
        "callbacks": [progress, *stops(ready.train)],
    }
    trainer: DistillTrainer
    if ready.train.objective == "dpo":
        trainer = PreferenceTrainer(options=ready.train.dpo, folder=Path(plan.out_dir), **given)
    elif ready.scale is not None and shares is not None:
        trainer = VerdictTrainer(shares=shares, scores=ready.scale.scores, **given)
    elif fraction := ready.train.on_policy:
        writer = _writer(plan, ready, collator)
        trainer = OnPolicyTrainer(writer=writer, fraction=fraction, own_signal=own, **given)
    else:
        trainer = DistillTrainer(**given)
    trainer.remove_callback(PrinterCallback)
    return trainer, progress


def _writer(plan: TrainPlan, ready: _Prepared, collator: Collator) -> Writer:
    return Writer(
        collator=collator,
        ends=ready.ends,
        pad_id=next(
            (one for one in (ready.tokenizer.pad_token_id, *ready.ends) if one is not None), 0
        ),
        max_length=ready.train.max_length,
        most_tokens=max(row.supervised for row in ready.rows.rows),
        seed=plan.seed,
    )


def _loss(train: Train) -> Loss:
    """Raw text has no teacher: plain cross-entropy, whatever the weights."""
    return ForwardKL(weight=0.0, ce=1.0) if train.objective == "clm" else train.loss


def _collator(ready: _Prepared, model: Any) -> Collator:
    pad = ready.tokenizer.pad_token_id
    # Flash attention tells packed rows apart on a single line only.
    flash = "flash" in str(getattr(model.config, "_attn_implementation", ""))
    width = None if flash else ready.train.max_length
    kind = PairCollator if ready.train.objective == "dpo" else Collator
    if ready.scale is not None:
        kind = VerdictCollator
    return kind(0 if pad is None else pad, packing=ready.train.packing, width=width)


def _pairs(trainer: DistillTrainer) -> dict[str, float] | None:
    """What the last look at val said of its pairs."""
    if not isinstance(trainer, PreferenceTrainer) or not trainer.eval_dataset:
        return None
    right, count = trainer.pairs_measured
    return {"right": right, "n": count}
