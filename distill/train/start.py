"""Start of a training, for every kind of student: shape and arguments, the process group first."""

from pathlib import Path
from typing import Any

import torch

from distill.recipe.training import Train
from distill.train.arguments import Shape, shape_of, training_arguments
from distill.train.deepspeed_config import single_process_environment, start_on_cpu
from distill.train.defaults import method_of
from distill.train.launch import launched_processes
from distill.train.plan import TrainPlan


def started(
    plan: TrainPlan, settings: Train, student: Any, *, rows: int, val: bool
) -> tuple[Shape, Any]:
    """How many rows go where, and the TrainingArguments.

    ZeRO-3 shards what is loaded while these live, so they come before any model.
    """
    cpu = not torch.cuda.is_available()
    if settings.deepspeed is not None:
        single_process_environment()
    shape = shape_of(settings, rows=rows, processes=launched_processes(), cpu=cpu)
    out, method = Path(plan.out_dir), method_of(student)
    args = training_arguments(settings, method, shape, out_dir=out, seed=plan.seed, val=val)
    if settings.deepspeed is not None and cpu:
        start_on_cpu()
    return shape, args
