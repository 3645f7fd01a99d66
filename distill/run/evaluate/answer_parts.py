"""The parts of the report that are worked out from what every system answered."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.evaluate.rungs import compared_rungs
from distill.evaluate.scores import row_scores
from distill.evaluate.stage import SystemResult
from distill.judge.passport import plain
from distill.measure.intervals import bootstrap, nothing
from distill.run.context import Context
from distill.run.evaluate.ladder import CLOSED_BOOK, OF_STUDENT, ladder_facts
from distill.run.evaluate.sets import MeasuredSet

ANSWER_PARTS = ("judging", "significance", "ladder", "two_by_two")
"""Keys of report.json."""


def answer_parts(
    context: Context, sets: Sequence[MeasuredSet], results: Mapping[str, SystemResult]
) -> dict[str, Any]:
    """Every key of ANSWER_PARTS, on the first set and seed; null where there is nothing to tell."""
    if not sets:
        return dict.fromkeys(ANSWER_PARTS)
    return {
        "judging": passports(sets[0], results),
        "significance": significance(context, sets[0], results),
        "ladder": ladder_facts(context),
        "two_by_two": two_by_two(context, sets[0], results),
    }


def significance(
    context: Context, part: MeasuredSet, results: Mapping[str, SystemResult]
) -> list[dict[str, Any]] | None:
    """Paired tests between systems (`compared_rungs`); None where there are no two."""
    scores = {name: _scores(context, part, one) for name, one in results.items() if one.answers}
    return compared_rungs(scores, part.name, context.recipe.seed) or None


def two_by_two(
    context: Context, part: MeasuredSet, results: Mapping[str, SystemResult]
) -> dict[str, Any] | None:
    """The base model and the student, each with and without retrieval; None without retrieval.

    The figure is the mean score of the rows, 0 to 1. A grounded task's rows bring passages of
    their own, so there "without" is the closed book.
    """
    if "retrieval" not in results:
        return None
    closed = CLOSED_BOOK in results
    cells: dict[str, dict[str, str | None]] = {
        "base": {
            "without": CLOSED_BOOK if closed else _first(results, "student_before", "zero_shot"),
            "with": "retrieval",
        },
        "student": {
            "without": OF_STUDENT[CLOSED_BOOK] if closed else "student",
            "with": OF_STUDENT["retrieval"],
        },
    }
    seed = context.recipe.seed
    return {
        model: {
            how: {"system": name, "score": _mean(context, part, results.get(name or ""), seed)}
            for how, name in names.items()
        }
        for model, names in cells.items()
    }


def _first(results: Mapping[str, SystemResult], *names: str) -> str | None:
    return next((name for name in names if name in results), None)


def _mean(
    context: Context, part: MeasuredSet, result: SystemResult | None, seed: int
) -> dict[str, Any]:
    if result is None or result.answers is None:
        return nothing("it was not asked").as_dict()
    return bootstrap(_scores(context, part, result), seed, resamples=1000).as_dict()


def _scores(context: Context, part: MeasuredSet, result: SystemResult) -> list[float]:
    texts = [answer.text for answer in result.answers or ()]
    return row_scores(context.recipe.task, texts, part.expected)


def passports(part: MeasuredSet, results: Mapping[str, SystemResult]) -> dict[str, Any] | None:
    """SYSTEM -> a judge's whole passport (CONTRACT section 6); None where nobody judged.

    The teacher that was measured beside it is its reference line.
    """
    found: dict[str, Any] = {
        name: {**plain(one.passport.figures), "without_gold": part.left_out}
        for name, one in results.items()
        if one.passport is not None
    }
    for figures in found.values():
        if "teacher" in found:
            figures["reference_lines"]["teacher_human"] = found["teacher"]["accuracy"]
    return found or None
