"""Checks what only a classifier student has: labels for a head, and losses over labels."""

from distill.recipe.findings import Findings
from distill.recipe.schema import Recipe
from distill.recipe.student import ClassifierStudent
from distill.recipe.task import ClassifyTask

LOSSES = ("forward_kl", "reverse_kl", "jsd", "skew_kl", "skew_reverse_kl", "tvd", "adaptive_kl")
"""Losses that compare two distributions over the labels."""
TEXT_ONLY = ("packing", "mix", "on_policy")
"""Settings of `train` that speak of texts, of which a classifier writes none."""


def check_classifier(recipe: Recipe, findings: Findings) -> None:
    """Notes what a classifier cannot do, and a labels signal that no classifier reads."""
    student, train = recipe.student, recipe.train
    if not isinstance(student, ClassifierStudent):
        if train is not None and train.signal.kind == "labels":
            fix = "Set student.kind: classifier, or take another signal."
            findings.add("train.signal", "the signal labels is for a classifier", None, fix)
        return
    if not isinstance(recipe.task, ClassifyTask):
        found = f"a classifier chooses among labels, and a {recipe.task.kind} task has none"
        findings.add("student.kind", found, "causal", "Set task.kind: classify.")
    if student.method == "qlora":
        findings.add("student.method", "a classifier is not trained in 4 bits", "full, lora")
    if student.rope_scaling:
        fix = "Leave rope_scaling out."
        findings.add("student.rope_scaling", "a classifier keeps its own positions", None, fix)
    if train is None:
        return
    if train.objective != "distill":
        findings.add("train.objective", f"a classifier cannot do {train.objective}", "distill")
    if train.loss.kind not in LOSSES:
        found = f"{train.loss.kind} does not compare distributions over labels"
        findings.add("train.loss", found, ", ".join(LOSSES))
    for key in TEXT_ONLY:
        if getattr(train, key):
            findings.add(f"train.{key}", f"a classifier has no {key}", None, f"Leave {key} out.")
