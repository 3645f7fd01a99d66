"""The recipe's `train` as TrainingArguments: steps, batches, defaults, the user's own keys."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from distill.errors import PrerequisiteError, Problem, RecipeError
from distill.recipe.suggest import did_you_mean
from distill.recipe.training import Train
from distill.train import defaults
from distill.train.deepspeed_config import deepspeed_config, refuse_clashes

OWNED: Mapping[str, str] = {
    "output_dir": "--run-dir names the folder",
    "deepspeed": "write it as train.deepspeed",
    "per_device_train_batch_size": "write it as train.micro_batch",
    "gradient_accumulation_steps": "it follows from train.batch and train.micro_batch",
    "max_steps": "write it as train.steps",
    "num_train_epochs": "write it as train.epochs",
    "learning_rate": "write it as train.lr",
    "seed": "write it as the recipe's seed",
    "data_seed": "write it as the recipe's seed",
    "train_sampling_strategy": "the order of the rows follows from the seed alone",
    "dataloader_drop_last": "every step is full",
    "remove_unused_columns": "the trainer needs its columns",
    "average_tokens_across_devices": "the loss is always divided by the tokens of all devices",
    "label_smoothing_factor": "the loss is that of train.loss",
    "resume_from_checkpoint": "a run continues by itself",
    "eval_strategy": "val is measured at every checkpoint",
    "load_best_model_at_end": "write it as train.early_stop",
    "use_cpu": "hide the GPUs with CUDA_VISIBLE_DEVICES",
    "push_to_hub": "use `distill export --push`",
    "do_train": "the run decides it",
    "do_eval": "the run decides it",
    "disable_tqdm": "progress goes through the run's own lines",
}
"""Keys of TrainingArguments that the recipe says in its own words."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How many rows go where."""

    steps: int
    batch: int
    micro_batch: int
    accumulation: int


def shape_of(train: Train, *, rows: int, processes: int, cpu: bool) -> Shape:
    """Steps and batch sizes for so many rows on so many processes.

    Raises: RecipeError when the batch cannot be divided.
    """
    if train.batch % processes:
        raise _wrong(
            "batch",
            f"{train.batch} rows do not divide over {processes} processes",
            fix="Make train.batch a multiple of train.processes.",
        )
    share = train.batch // processes
    micro = train.micro_batch or defaults.rows_at_once(share, cpu=cpu)
    if share % micro:
        raise _wrong(
            "micro_batch",
            f"{micro} does not divide the {share} rows of one process "
            f"(batch {train.batch}, {processes} processes)",
            fix=f"For example train.micro_batch: {defaults.largest_divisor(share, micro)}.",
        )
    epochs = train.epochs or defaults.EPOCHS
    own = train.batch * (1 - sum(blend.share for blend in train.mix))
    steps = train.steps or max(1, math.ceil(epochs * rows / own))
    return Shape(steps, train.batch, micro, share // micro)


def training_arguments(
    train: Train, method: defaults.Method, shape: Shape, *, out_dir: Path, seed: int, val: bool
) -> Any:
    """The TrainingArguments of a plan; creating them sets up the device and the process group.

    Raises: RecipeError for keys and values that transformers does not take, PrerequisiteError where
    the package behind one is absent.
    """
    from transformers import TrainingArguments

    _check_keys(train.trainer, {field.name for field in fields(TrainingArguments)})
    cpu = not torch.cuda.is_available()
    by_steps = _by_steps(shape, val=val, early_stop=train.early_stop)
    given = _ours(train, method, shape, cpu=cpu) | by_steps | train.trainer
    given |= {"output_dir": str(out_dir / "checkpoints"), "seed": seed}
    try:
        args = TrainingArguments(**given)
    except (ValueError, TypeError, ImportError) as exc:
        raise _wrong("trainer", f"transformers refuses the settings: {exc}") from exc
    if train.deepspeed is not None:
        refuse_clashes(deepspeed_config(train.deepspeed, cpu=cpu), _meant(args, shape))
    _check_reports(args.report_to)
    # Several visible GPUs without a launcher would be driven by DataParallel, which changes the
    # meaning of a micro-batch.
    args._n_gpu = min(args.n_gpu, 1)
    return args


def _meant(args: Any, shape: Shape) -> dict[str, tuple[str, Any]]:
    """DeepSpeed's keys -> the recipe's keys that decide them, and their values."""
    trainer = "train.trainer."
    return {
        "train_batch_size": ("train.batch", shape.batch),
        "train_micro_batch_size_per_gpu": ("train.micro_batch", shape.micro_batch),
        "gradient_accumulation_steps": ("train.micro_batch", shape.accumulation),
        "gradient_clipping": (trainer + "max_grad_norm", args.max_grad_norm),
        "optimizer.params.lr": ("train.lr", args.learning_rate),
        "optimizer.params.betas": (trainer + "adam_beta1", [args.adam_beta1, args.adam_beta2]),
        "optimizer.params.eps": (trainer + "adam_epsilon", args.adam_epsilon),
        "optimizer.params.weight_decay": (trainer + "weight_decay", args.weight_decay),
        "scheduler.params.warmup_max_lr": ("train.lr", args.learning_rate),
        "scheduler.params.total_num_steps": ("train.steps", shape.steps),
        "bf16.enabled": (trainer + "bf16", args.bf16),
        "fp16.enabled": (trainer + "fp16", args.fp16),
    }


def check_built(train: Train) -> None:
    """Refuse what the schema knows and this trainer does not do yet.

    Raises: RecipeError naming the keys.
    """
    wrong = ["lr"] if isinstance(train.lr, list) and len(train.lr) != 1 else []
    if wrong:
        problems = [Problem(key=f"train.{name}", found="not built yet") for name in wrong]
        raise RecipeError("the trainer cannot do this yet", problems)


def _ours(train: Train, method: defaults.Method, shape: Shape, *, cpu: bool) -> dict[str, Any]:
    table = defaults.defaults_of(method, train.objective)
    given = {name: one.value for name, one in table.items()}
    lr = train.lr[0] if isinstance(train.lr, list) else train.lr
    if lr is not None:
        given["learning_rate"] = lr
    if train.deepspeed is not None:
        given["deepspeed"] = deepspeed_config(train.deepspeed, cpu=cpu)
    return given | {
        "max_steps": shape.steps,
        "per_device_train_batch_size": shape.micro_batch,
        "per_device_eval_batch_size": shape.micro_batch,
        "gradient_accumulation_steps": shape.accumulation,
        "use_cpu": cpu,
        "bf16": not cpu and torch.cuda.is_bf16_supported(),
        "dataloader_pin_memory": not cpu,
        "dataloader_num_workers": 0,
        "remove_unused_columns": False,
        "average_tokens_across_devices": True,
        "ddp_find_unused_parameters": False,
        **({"ddp_timeout": defaults.GLOO_TIMEOUT_S} if cpu else {}),
        "report_to": "none",
        "disable_tqdm": True,
        # A loss that is not a number is to be seen, not averaged away; the test costs a sync.
        "logging_nan_inf_filter": False,
    }


def _by_steps(shape: Shape, *, val: bool, early_stop: bool) -> dict[str, Any]:
    looks = defaults.EARLY_STOP_LOOKS if early_stop else defaults.CHECKPOINTS
    save = max(1, math.ceil(shape.steps / looks))
    best = {
        "load_best_model_at_end": True,
        "metric_for_best_model": "loss",
        "greater_is_better": False,
        # How often val was no better is part of where a training stands.
        "restore_callback_states_from_checkpoint": True,
    }
    return (best if early_stop else {}) | {
        "logging_steps": max(1, shape.steps // defaults.LOG_POINTS),
        "logging_first_step": True,
        "save_strategy": "steps",
        "save_steps": save,
        "save_total_limit": 2,
        "eval_strategy": "steps" if val else "no",
        "eval_steps": save,
    }


def _check_keys(given: Mapping[str, Any], known: set[str]) -> None:
    problems = [_key_problem(key, known) for key in given if key in OWNED or key not in known]
    if problems:
        raise RecipeError("train.trainer is wrong", problems)


def _key_problem(key: str, known: set[str]) -> Problem:
    where = f"train.trainer.{key}"
    if key in OWNED:
        return Problem(key=where, found="is not set here", fix=f"{OWNED[key]}.")
    found = f"not a key of TrainingArguments: {key!r}"
    return Problem(key=where, found=found, fix=did_you_mean(key, known - OWNED.keys()))


def _check_reports(names: Sequence[str]) -> None:
    """Refuse logging back ends that the Trainer would only miss with the model loaded."""
    from transformers.integrations import integration_utils as known

    key = "train.trainer.report_to"
    allowed = sorted(known.INTEGRATION_TO_CALLBACK)
    for name in names:
        if name not in allowed:
            found = f"{name!r} is no logging back end"
            problem = Problem(found, key=key, allowed=", ".join(["none", *allowed]))
            raise RecipeError(f"{key}: {found}", [problem])
        # Of flyte transformers does not tell whether it is there.
        if name != "flyte" and name not in known.get_available_reporting_integrations():
            package = _PACKAGES.get(name, name.replace("_", "-"))
            fix = f"Type: pip install {package}"
            problem = Problem(f"the package of {name} is absent", key=key, fix=fix)
            raise PrerequisiteError(str(problem), [problem])


_PACKAGES = {"azure_ml": "azureml-core"}
"""Logging back end -> its package, where that has another name."""


def _wrong(key: str, found: str, fix: str | None = None) -> RecipeError:
    problem = Problem(key=f"train.{key}", found=found, fix=fix)
    return RecipeError("the trainer's settings are wrong", [problem])
