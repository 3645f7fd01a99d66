"""Stopping where val no longer improves."""

from typing import Any

from distill.errors import Problem, RecipeError
from distill.recipe.training import Train
from distill.train.defaults import PATIENCE


def stops(train: Train) -> list[Any]:
    """The callback that stops a training, where the recipe asks for one."""
    from transformers import EarlyStoppingCallback

    return [EarlyStoppingCallback(PATIENCE)] if train.early_stop else []


def require_val(train: Train, val: bool) -> None:
    """Refuse to stop by a val that holds no row.

    Raises: RecipeError.
    """
    if not train.early_stop or val:
        return
    found = "the training is to stop by val, and val holds no row"
    fix = "Give `split` a share of val and enough rows."
    problem = Problem(key="train.early_stop", found=found, fix=fix)
    raise RecipeError(f"train.early_stop: {found}", [problem])
