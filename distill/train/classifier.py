"""Trains a classifier student as its plan says: its arguments, order and files are those of all.

A training that was interrupted continues from its last checkpoint.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter

from distill.progress import Listener, Progress
from distill.recipe.student import Student
from distill.recipe.training import Train
from distill.train.arguments import Shape, shape_of, training_arguments
from distill.train.checkpoints import clear_stale, last_checkpoint, save
from distill.train.classifier_model import load_classifier, load_frame
from distill.train.classifier_rows import LabelledForm, LabelledRows, check_soft, target_table
from distill.train.classifier_trainer import ClassifierTrainer
from distill.train.collate import EncodedRow, OrderedRows
from distill.train.deepspeed_config import single_process_environment, start_on_cpu
from distill.train.defaults import method_of
from distill.train.early_stop import require_val, stops
from distill.train.launch import launched_processes
from distill.train.plan import TrainPlan, TrainResult
from distill.train.student import trainable
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
    shape, args = _arguments(plan, settings, student, rows=len(rows.rows), val=bool(val))
    model = load_classifier(plan.base, student, cpu=args.use_cpu)
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
    clear_stale(plan, trainer)
    trainer.train(resume_from_checkpoint=last_checkpoint(Path(args.output_dir)))
    result = _result(plan, settings, student, shape, trainer, progress, rows)
    save(plan, tokenizer, trainer, result)
    return result


def _arguments(
    plan: TrainPlan, settings: Train, student: Any, *, rows: int, val: bool
) -> tuple[Shape, Any]:
    cpu = not torch.cuda.is_available()
    if settings.deepspeed is not None:
        single_process_environment()
    shape = shape_of(settings, rows=rows, processes=launched_processes(), cpu=cpu)
    out = Path(plan.out_dir)
    method = method_of(student)
    args = training_arguments(settings, method, shape, out_dir=out, seed=plan.seed, val=val)
    if settings.deepspeed is not None and cpu:
        start_on_cpu()
    return shape, args


def _silence(trainer: Any) -> None:
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)


def _words(arm: str, rows: LabelledRows) -> str:
    return f"{arm}: {len(rows.soft)} of {len(rows.rows)} rows tell a distribution over the labels"


def _result(
    plan: TrainPlan,
    settings: Train,
    student: Any,
    shape: Shape,
    trainer: ClassifierTrainer,
    progress: TellProgress,
    rows: LabelledRows,
) -> TrainResult:
    history = trainer.state.log_history
    last = trainer.state.global_step
    # Weights that were best on val, and not those of the last step, are measured anew.
    if trainer.eval_dataset and (
        settings.early_stop
        or not any("eval_loss" in line and line["step"] == last for line in history)
    ):
        trainer.evaluate()
    losses = [line["loss"] for line in history if "loss" in line]
    vals = [line["eval_loss"] for line in history if "eval_loss" in line]
    order: OrderedRows = trainer.train_dataset
    learnt, share = trainable(trainer.model)
    folder = "adapter" if student.method == "lora" else "model"
    return TrainResult(
        steps=last,
        tokens=sum(order.tokens_of_steps(shape.batch)[:last]),
        supervised_tokens=last * shape.batch,
        loss_first=losses[0],
        loss_last=losses[-1],
        val_loss=vals[-1] if vals else None,
        tokens_per_s=progress.final_tokens_per_s,
        seconds=progress.seconds,
        trainable=learnt,
        trainable_share=share,
        truncated_rows=rows.truncated,
        soft_rows=len(rows.soft),
        curve=tuple(
            {key.replace("eval_", "val_"): value for key, value in line.items() if key != "epoch"}
            for line in history
            if "loss" in line or "eval_loss" in line
        ),
        model_dir=str(Path(plan.out_dir) / folder),
    )
