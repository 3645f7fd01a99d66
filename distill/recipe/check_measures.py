"""Checks what `evaluate` measures beside the table: general abilities, shares of the rows."""

from distill.errors import RecipeError
from distill.recipe.files import locate
from distill.recipe.findings import Findings
from distill.recipe.forgetting import Forgetting, suite_of
from distill.recipe.schema import Recipe


def check_measures(recipe: Recipe, findings: Findings) -> None:
    """Notes suites whose files are missing and parts that nothing trained could fill."""
    if recipe.evaluate is None:
        return
    _curve(recipe, recipe.evaluate.learning_curve, findings)
    suite = suite_of(recipe.evaluate.forgetting)
    if suite is not None:
        _suite(recipe, suite, findings)


def _curve(recipe: Recipe, shares: list[float], findings: Findings) -> None:
    key = "evaluate.learning_curve"
    if not shares:
        return
    if odd := [share for share in shares if not 0 < share <= 1]:
        findings.add(key, f"{odd[0]:g} is no share of the rows", "more than 0, at most 1")
    elif set(shares) == {1.0}:
        findings.add(key, "one share makes no curve", "such as [0.25, 0.5, 1]")
    if recipe.student is None or recipe.train is None:
        findings.add(key, "nothing is trained", None, "Give `student` and `train`.")
    elif recipe.student.method == "hosted":
        fix = "Leave it out."
        findings.add(key, "a hosted student is trained on all rows only", None, fix)


def _suite(recipe: Recipe, suite: Forgetting, findings: Findings) -> None:
    key = "evaluate.forgetting"
    if recipe.student is None or recipe.train is None:
        fix = "Give `student` and `train`, or leave it out."
        findings.add(key, "nothing is trained, so nothing can be forgotten", None, fix)
    for name, ref in (("text", suite.text), ("task_folder", suite.task_folder)):
        if ref is None:
            continue
        try:
            locate(recipe, ref)
        except RecipeError as error:
            findings.add_error(f"{key}.{name}", error)
    if suite.task_folder is not None and not suite.tasks:
        fix = "Name them under `tasks`."
        findings.add(f"{key}.task_folder", "no task of the folder is named", None, fix)
