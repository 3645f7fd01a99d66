"""Checks what the loss `verdict` needs: a closed scale, an order for two of its forms, a last word.

Which signals it can be computed from stands in `loss_pairs`.
"""

from distill.errors import RecipeError
from distill.recipe.files import text_of
from distill.recipe.findings import Findings
from distill.recipe.prompts import JUDGES, soft_fields
from distill.recipe.schema import Recipe
from distill.recipe.task import ClassifyTask, labels_of
from distill.recipe.templates import Template
from distill.recipe.training import VerdictLoss

TASKS = "classify, judge_absolute, judge_pairwise"
KEY = "train.loss"
_WORD = "qqverdictqq"
"""Stands for an answer, to see where a template writes it."""


def check_verdict(recipe: Recipe, findings: Findings) -> None:
    """Notes recipes whose verdicts cannot be scored, and what their target will be."""
    train = recipe.train
    if train is None or not isinstance(train.loss, VerdictLoss):
        return
    if recipe.student is not None and recipe.student.kind == "classifier":
        return  # told as a classifier's
    if labels_of(recipe.task) is None:
        found = f"a {recipe.task.kind} task has no closed list of answers to be scored"
        findings.add("train.loss.kind", found, TASKS, "Take another loss.")
        return
    form = train.loss.form
    if isinstance(recipe.task, ClassifyTask) and form != "kl":
        found = f"labels have no order, which the form {form} goes by"
        findings.add("train.loss.form", found, "kl", "Leave form out.")
    if train.objective != "distill":
        found = f"{train.objective} has no verdicts"
        findings.add(KEY, found, "train.objective: distill", "Leave train.loss out.")
    if train.on_policy:
        found = "a verdict is scored behind the feedback of its row, not behind the student's own"
        findings.add("train.on_policy", found, "absent", "Leave on_policy out.")
    _last_word(recipe, findings)
    if train.signal.kind == "text":
        findings.notes.append(_target(recipe))


def _last_word(recipe: Recipe, findings: Findings) -> None:
    """Behind the verdict nothing may stand: no other answer was ever continued."""
    task = recipe.task
    if isinstance(task, JUDGES) and task.format == "json" and task.completion is None:
        found = (
            "the loss verdict scores the last thing that is written, which JSON closes behind it"
        )
        findings.add("task.format", found, "line", "Leave format out.")
    if task.completion is None:
        return
    try:
        template = Template(text_of(recipe, task.completion), "task.completion")
        shown = template.render(dict.fromkeys(template.names, "x") | {task.output: _WORD})
    except RecipeError:
        return  # told elsewhere, or not to be known without a row
    if not shown.casefold().endswith(_WORD):
        found = f"the loss verdict scores {task.output!r} as the last thing that is written"
        fix = f"End task.completion with {{{{ {task.output} }}}}."
        findings.add("task.completion", found, None, fix)


def _target(recipe: Recipe) -> str:
    try:
        names = soft_fields(recipe)
    except RecipeError:
        names = [recipe.task.output]
    fields = " or ".join(names)
    return (
        f"verdict: the target are the votes or label log-probabilities of {fields}; for a row "
        "without any, the verdict that was written"
    )
