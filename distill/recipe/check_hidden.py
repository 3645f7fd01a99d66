"""Checks what hidden-state matching needs: a teacher that is read beside the student."""

from distill.recipe.findings import Findings
from distill.recipe.schema import Recipe

KEY = "train.hidden"


def check_hidden(recipe: Recipe, findings: Findings) -> None:
    """Notes hidden states that nobody has, and losses that leave no place for them."""
    train = recipe.train
    if train is None or train.hidden is None:
        return
    if recipe.student is not None and recipe.student.kind == "classifier":
        findings.add(KEY, "a classifier is trained beside no teacher", None, "Leave hidden out.")
    elif train.objective != "distill":
        found = f"{train.objective} has no teacher whose states could be matched"
        findings.add(KEY, found, None, "Leave hidden out, or set train.objective: distill.")
    elif train.signal.kind != "dense":
        found = f"hidden states are a live local teacher's; the signal {train.signal.kind} has none"
        findings.add(KEY, found, "signal: {kind: dense}", "Set train.signal.kind: dense.")
    elif train.loss.kind == "verdict":
        found = "with the loss verdict the teacher is read once and released"
        findings.add(KEY, found, None, "Leave hidden out, or take another loss.")
