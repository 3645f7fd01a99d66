"""The parts of the report that evaluation adds beside the table of systems."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.evaluate.stage import SystemResult
from distill.measure.intervals import Figure
from distill.run.context import Context
from distill.run.evaluate.answer_form import measure_collapse, measure_format
from distill.run.evaluate.cascade import measure_cascade
from distill.run.evaluate.failures import measure_failures
from distill.run.evaluate.forgetting import measure_forgetting
from distill.run.evaluate.label_quality import label_quality
from distill.run.train.learning_curve import measure_curve

PARTS = (
    "forgetting", "learning_curve", "label_quality", "format", "collapse", "failure_modes",
    "cascade",
)  # fmt: skip
"""Keys of report.json."""


@dataclass(frozen=True, slots=True)
class Lead:
    """The set that the report leads with, and what every system said about it."""

    records: Sequence[Mapping[str, Any]]
    expected: Sequence[Any]
    results: Mapping[str, Sequence[SystemResult]]
    """SYSTEM -> one per seed."""
    figures: Mapping[str, Sequence[Mapping[str, Figure]]]
    ask: Callable[[str, str], SystemResult]
    """What another trained student (name, folder) says about it."""


def further_parts(context: Context, lead: Lead | None) -> dict[str, Any]:
    """Every key of PARTS, null where the recipe does not ask for it."""
    return {
        "forgetting": measure_forgetting(context),
        "learning_curve": _curve(context, lead),
        "label_quality": label_quality(context),
        "failure_modes": measure_failures(context),
        **_of_answers(context, lead),
    }


def _of_answers(context: Context, lead: Lead | None) -> dict[str, Any]:
    if lead is None:
        return dict.fromkeys(("format", "collapse", "cascade"))
    return {
        "format": measure_format(context.recipe, lead.results),
        "collapse": measure_collapse(context.recipe, lead.results, lead.expected),
        "cascade": measure_cascade(context.recipe, lead.results, lead.figures, lead.expected),
    }


def _curve(context: Context, lead: Lead | None) -> dict[str, Any] | None:
    if lead is None or "student" not in lead.results:
        return None
    return measure_curve(
        context,
        lead.records,
        lead.expected,
        lead.ask,
        lead.figures["student"],
        lead.results["student"],
        context.teachers.budget.totals().usd,
    )
