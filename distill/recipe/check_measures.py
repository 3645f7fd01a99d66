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
    suite = suite_of(recipe.evaluate.forgetting)
    if suite is not None:
        _suite(recipe, suite, findings)


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
