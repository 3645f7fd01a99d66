"""Checks whom `evaluate` asks beside the student: judges, baselines, other models."""

from distill.recipe.check_fields import known_teacher
from distill.recipe.findings import Findings
from distill.recipe.schema import Recipe


def check_systems(recipe: Recipe, findings: Findings) -> None:
    """Notes systems that cannot be asked."""
    evaluate = recipe.evaluate
    if evaluate is None:
        return
    if evaluate.judge is not None:
        known_teacher(recipe, "evaluate.judge", evaluate.judge, findings)
