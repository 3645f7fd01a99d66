"""The student as the first of a cascade: what it would cost and get right, from its answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.evaluate.scores import row_scores
from distill.evaluate.stage import SystemResult
from distill.judge.cascade import cascade_part
from distill.measure.intervals import Figure
from distill.recipe.schema import Recipe
from distill.rows.answers import WRONG_BELOW

COST = "cost_per_1000"


def measure_cascade(
    recipe: Recipe,
    results: Mapping[str, Sequence[SystemResult]],
    figures: Mapping[str, Sequence[Mapping[str, Figure]]],
    expected: Sequence[Any],
) -> dict[str, Any] | None:
    """`cascade` of report.json, of the first seed; None where the student tells no confidence."""
    student = _answers(results, "student")
    if student is None:
        return None
    teacher = _answers(results, "teacher")

    def right(answers: Sequence[Any]) -> list[bool]:
        texts = [answer.text for answer in answers]
        return [score >= WRONG_BELOW for score in row_scores(recipe.task, texts, expected)]

    return cascade_part(
        [answer.p if answer.text is not None else None for answer in student],
        right(student),
        None if teacher is None else right(teacher),
        cost_small=_cost(figures, "student"),
        cost_teacher=_cost(figures, "teacher"),
    )


def _answers(results: Mapping[str, Sequence[SystemResult]], system: str) -> Sequence[Any] | None:
    runs = results.get(system)
    return runs[0].answers if runs else None


def _cost(figures: Mapping[str, Sequence[Mapping[str, Figure]]], system: str) -> float | None:
    runs = figures.get(system)
    found = runs[0].get(COST) if runs else None
    return found.value if found else None
