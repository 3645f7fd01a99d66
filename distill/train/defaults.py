"""The trainer's settings where a recipe gives none, per method; each number with its source."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Method = Literal["scratch", "full", "lora"]


class Default(NamedTuple):
    """One setting of TrainingArguments."""

    value: Any
    source: str


_GPT_3 = "Brown et al. 2020, arXiv:2005.14165, appendix B and table 2.1"
_ADAM = "Kingma and Ba 2015, arXiv:1412.6980"

GLOO_TIMEOUT_S = 110
"""Longest that processes on CPUs wait for each other: below 2 minutes, where gloo waits 30."""

SHARED: Mapping[str, Default] = {
    "lr_scheduler_type": Default("cosine", "Touvron et al. 2023, arXiv:2302.13971"),
    "warmup_steps": Default(0.03, "3 % of the steps: Touvron et al. 2023, arXiv:2302.13971"),
    "max_grad_norm": Default(1.0, _GPT_3),
    "adam_beta1": Default(0.9, _ADAM),
    "adam_beta2": Default(0.999, _ADAM),
}

DEFAULTS: Mapping[Method, Mapping[str, Default]] = {
    "scratch": {
        "learning_rate": Default(1e-3, f"6e-4 at 125M, smaller models take more: {_GPT_3}"),
        "weight_decay": Default(0.1, _GPT_3),
        "adam_beta2": Default(0.95, _GPT_3),
    },
    "full": {
        "learning_rate": Default(2e-5, "1B to 8B students: 4e-5 was worse (NVIDIA-NeMo/RL#1527)"),
        "weight_decay": Default(0.0, "few steps from weights that are good already"),
    },
    "lora": {
        "learning_rate": Default(2e-4, "up to 13B: Dettmers et al. 2023, arXiv:2305.14314"),
        "weight_decay": Default(0.0, "the same, table 9"),
    },
}
PREFERENCE: Mapping[Method, Mapping[str, Default]] = {
    "full": {
        "learning_rate": Default(5e-7, "Tunstall et al. 2023, arXiv:2310.16944, section 4"),
        "warmup_steps": Default(0.1, "10 %: the same"),
    },
    "lora": {
        "learning_rate": Default(5e-6, "the same recipe with LoRA: huggingface/alignment-handbook"),
        "warmup_steps": Default(0.1, "10 %: the same"),
    },
}
"""What `objective: dpo` changes."""
OTHERS: Mapping[str, Default] = {
    "lora.r": Default(16, "on all linear layers; little is gained above 8: arXiv:2106.09685, 7.2"),
    "lora.alpha": Default(32, "twice the rank"),
    "dtype": Default(
        "bfloat16 where the GPU has it; trained weights stay float32",
        "Micikevicius et al. 2018, arXiv:1710.03740",
    ),
    "epochs": Default(3, "Dettmers et al. 2023, arXiv:2305.14314, table 9: 1 to 4"),
}
"""Defaults that are no TrainingArguments."""

EPOCHS = 3.0
MICRO_BATCH = 8
CPU_MICRO_BATCH = 64
"""Models that train on a CPU are tiny: a pass costs more than its rows do."""


def rows_at_once(rows: int, *, cpu: bool) -> int:
    """Rows of one forward pass where a recipe names none: the most that divide a process's share.

    Args:
        rows: Of one optimiser step and process.
        cpu: Whether there is no GPU.
    """
    return largest_divisor(rows, CPU_MICRO_BATCH if cpu else MICRO_BATCH)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor that is no larger than `limit`."""
    return next(size for size in range(min(number, limit), 0, -1) if number % size == 0)


CHECKPOINTS = 5
EARLY_STOP_LOOKS = 20
"""How often val is measured over a training that may stop early."""
PATIENCE = 3
"""Looks at val without a better one, after which the training stops."""
LOG_POINTS = 50


def method_of(student: Any) -> Method:
    """Which row of the table a student takes (a parsed `student` of the recipe)."""
    if student.init == "scratch":
        return "scratch"
    return "lora" if student.method in ("lora", "qlora") else "full"


def defaults_of(method: Method, objective: str = "distill") -> dict[str, Default]:
    """The settings of a method and objective, with their sources."""
    changed = PREFERENCE.get(method, {}) if objective == "dpo" else {}
    return {**SHARED, **DEFAULTS[method], **changed}


def table(train: Any, student: Any) -> dict[str, Default]:
    """What a recipe's training takes where the recipe says nothing (its parsed parts)."""
    found = defaults_of(method_of(student), train.objective)
    given = {*train.trainer, *(("learning_rate",) if train.lr is not None else ())}
    others = dict(OTHERS)
    if method_of(student) != "lora":
        others = {name: one for name, one in others.items() if not name.startswith("lora.")}
    if train.steps is not None or train.epochs is not None:
        del others["epochs"]
    return {name: one for name, one in found.items() if name not in given} | others
