"""What came of a training, for every kind of student."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.recipe.training import Train
from distill.train.arguments import Shape
from distill.train.collate import OrderedRows
from distill.train.plan import TrainPlan, TrainResult
from distill.train.student import trainable
from distill.train.trainer import TellProgress


def training_result(
    plan: TrainPlan,
    settings: Train,
    shape: Shape,
    trainer: Any,
    progress: TellProgress,
    *,
    truncated: int,
) -> TrainResult:
    """The figures of a trainer that has finished; measures val once more where that is needed."""
    history, last = trainer.state.log_history, trainer.state.global_step
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
    adapter = plan.student.get("method") in ("lora", "qlora")
    return TrainResult(
        steps=last,
        tokens=sum(order.tokens_of_steps(shape.batch)[:last]),
        supervised_tokens=order.supervised(last * shape.batch),
        loss_first=losses[0],
        loss_last=losses[-1],
        val_loss=vals[-1] if vals else None,
        tokens_per_s=progress.final_tokens_per_s,
        seconds=progress.seconds,
        trainable=learnt,
        trainable_share=share,
        truncated_rows=truncated,
        curve=tuple(_point(line) for line in history if "loss" in line or "eval_loss" in line),
        model_dir=str(Path(plan.out_dir) / ("adapter" if adapter else "model")),
    )


def _point(line: Mapping[str, float]) -> dict[str, float]:
    return {key.replace("eval_", "val_"): value for key, value in line.items() if key != "epoch"}
