"""The trainer's settings where a recipe gives none, per method; each number with its source."""

from typing import Any, Literal

Method = Literal["scratch", "full", "lora"]

SHARED: dict[str, Any] = {
    "lr_scheduler_type": "cosine",
    # A few steps are enough for AdamW's second moments; 3 % as in Touvron et al. 2023
    # (arXiv:2302.13971) rounded, and in the fine-tuning recipes that follow it.
    "warmup_steps": 0.03,
    "max_grad_norm": 1.0,  # Brown et al. 2020, arXiv:2005.14165, appendix B
    "adam_beta1": 0.9,
}

DEFAULTS: dict[Method, dict[str, Any]] = {
    # Fresh weights: 6e-4 is what GPT-3's 125M model took and smaller models take more
    # (Brown et al. 2020, table 2.1); beta2 and decay of the same appendix.
    "scratch": {"learning_rate": 1e-3, "weight_decay": 0.1, "adam_beta2": 0.95},
    # Distilling 1B to 8B students: 2e-5 good, 4e-5 already worse (NVIDIA-NeMo/RL#1527).
    "full": {"learning_rate": 2e-5, "weight_decay": 0.0, "adam_beta2": 0.999},
    # Dettmers et al. 2023, arXiv:2305.14314, table 9: 2e-4 up to 13B.
    "lora": {"learning_rate": 2e-4, "weight_decay": 0.0, "adam_beta2": 0.999},
}

EPOCHS = 3.0
MICRO_BATCH = 8
CPU_MICRO_BATCH = 64
"""Models that train on a CPU are tiny: a pass costs more than its rows do."""
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
