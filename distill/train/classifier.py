"""Trains a classifier student as its plan says: its arguments, order and files are those of all.

A training that was interrupted continues from its last checkpoint.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from distill.progress import Listener, Progress
from distill.recipe.student import Student
from distill.recipe.training import Train
from distill.train.checkpoints import save, train_from_last
from distill.train.classifier_model import load_classifier, load_frame
from distill.train.classifier_rows import LabelledForm, LabelledRows, check_soft, target_table
from distill.train.classifier_trainer import ClassifierTrainer
from distill.train.collate import EncodedRow, OrderedRows
from distill.train.early_stop import require_val, stops
from distill.train.outcome import training_result
from distill.train.plan import TrainPlan, TrainResult
from distill.train.start import started
from distill.train.trainer import TellProgress
from teachers.threads import fit_threads


def train_classifier(plan: TrainPlan, listen: Listener) -> TrainResult:
    """Train the plan's classifier and return what came of it; `out_dir` then holds the weights.

    Raises: RecipeError, DataError.
    """
    settings = Train.model_validate(dict(plan.train))
    student: Any = TypeAdapter(Student).validate_python(dict(plan.student))
    tokenizer, config = load_frame(plan.base, student)
    # Cut as in training wherever the student is used.
    tokenizer.model_max_length = min(tokenizer.model_max_length, settings.max_length)
    form = LabelledForm(plan, tokenizer, config.label2id, soft=settings.signal.kind != "text")
    rows = form.read(Path(plan.rows_path), 0)
    check_soft(settings, rows, Path(plan.rows_path))
    val: Sequence[EncodedRow] = ()
    soft = dict(rows.soft)
    if plan.val_path and Path(plan.val_path).stat().st_size > 0:
        held_out = form.read(Path(plan.val_path), len(rows.rows))
        val, soft = held_out.rows, soft | dict(held_out.soft)
    require_val(settings, bool(val))
    # ZeRO-3 shards what is loaded while the arguments live, so they come first.
    shape, args = started(plan, settings, student, rows=len(rows.rows), val=bool(val))
    model = load_classifier(plan.base, student, cpu=args.use_cpu, seed=plan.seed)
    fit_threads(model.num_parameters())
    order = OrderedRows(rows.rows, steps=shape.steps, batch=shape.batch, seed=plan.seed)
    progress = TellProgress(listen, order.tokens_of_steps(shape.batch))
    trainer = ClassifierTrainer(
        model=model,
        args=args,
        train_dataset=order,
        loss=settings.loss,
        targets=target_table(soft, rows=len(rows.rows) + len(val), labels=len(config.label2id)),
        pad_id=tokenizer.pad_token_id or 0,
        val=val,
        callbacks=[progress, *stops(settings)],
    )
    _silence(trainer)
    listen(Progress("train", 0, shape.steps, note=_words(plan.arm, rows)))
    restarts = train_from_last(plan, trainer, listen)
    cut = rows.truncated
    result = training_result(plan, settings, shape, trainer, progress, truncated=cut)
    result = replace(result, soft_rows=len(rows.soft), restarts=restarts)
    save(plan, tokenizer, trainer, result)
    return result


def _silence(trainer: Any) -> None:
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _words(arm: str, rows: LabelledRows) -> str:
    return f"{arm}: {len(rows.soft)} of {len(rows.rows)} rows tell a distribution over the labels"
