"""Whether answers have the form that the task asks for, and how varied they are."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distill.evaluate.collapse import GOLD, SYSTEMS, collapse_part
from distill.evaluate.stage import SystemResult
from distill.filters import filter as filters
from distill.filters.format import Format
from distill.measure.intervals import Figure, over_seeds, proportion
from distill.recipe.filtering import FormatFilter
from distill.recipe.schema import Recipe
from distill.recipe.task import ClassifyTask, ExtractTask, JudgeAbsoluteTask, JudgePairwiseTask
from distill.rows.row import Row, canonical_json

Results = Mapping[str, Sequence[SystemResult]]


def measure_format(recipe: Recipe, results: Results) -> dict[str, Any] | None:
    """SYSTEM -> the share of its outputs that validate: a label, the schema, the recipe's format.

    Free text without a format in the recipe validates when there is any.
    """
    validates = _check(recipe)
    found = {}
    for name, runs in results.items():
        figures = [_share(run, validates) for run in runs if run.answers is not None]
        if figures:
            found[name] = over_seeds(figures, within=(0.0, 1.0)).as_dict()
    return found or None


def measure_collapse(
    recipe: Recipe, results: Results, expected: Sequence[Any]
) -> dict[str, Any] | None:
    """`collapse` of report.json, of the first seed."""
    given: dict[str, Sequence[str | None]] = {
        name: [answer.text for answer in runs[0].answers]
        for name, runs in results.items()
        if name in SYSTEMS and runs and runs[0].answers is not None
    }
    truths = [value if isinstance(value, str) else canonical_json(value) for value in expected]
    labels = isinstance(recipe.task, ClassifyTask | JudgeAbsoluteTask | JudgePairwiseTask)
    return collapse_part({GOLD: truths, **given}, labels=labels, seed=recipe.seed)


def _share(run: SystemResult, validates: Callable[[str], bool]) -> Figure:
    answers = run.answers or ()
    good = sum(answer.text is not None and validates(answer.text) for answer in answers)
    return proportion(good, len(answers))


def _check(recipe: Recipe) -> Callable[[str], bool]:
    task = recipe.task
    if isinstance(task, ClassifyTask | JudgeAbsoluteTask | JudgePairwiseTask):
        return lambda text: True  # what is no label, or no verdict, is no answer
    spec = next(
        (
            spec
            for spec in recipe.filter
            if isinstance(spec, FormatFilter) and spec.field in (None, task.output)
        ),
        FormatFilter() if isinstance(task, ExtractTask) else None,
    )
    if spec is None:
        return lambda text: bool(text.strip())
    form = Format(spec, filters.Context(task, recipe=recipe))
    name = form.needs[0]
    return lambda text: form.verdicts([Row("", {name: text})])[0].keep
