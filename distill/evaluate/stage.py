"""From what each system answered to the report's `metrics`: pure functions, nothing is asked here.

How floor 4 puts it together, for every set (gold, val), system and seed:
    answers = await answer_rows(teacher, prompts, ...)            # majority: majority_answers(...)
    figures = token_figures(student, teacher, encoded)            # where a local model is at hand
    measured[set][system].append(measure(task, SystemResult(...), gold))
and once: combine(measured) -> the report's keys metrics, metrics_on, metrics_by_set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import RecipeError
from distill.evaluate.answers import Answered
from distill.evaluate.grounded import faithful_figure, grounded_figures
from distill.evaluate.judging import passport_metrics
from distill.evaluate.lm import RowFigures
from distill.evaluate.metrics import (
    Price,
    classify_figures,
    extract_figures,
    generate_figures,
    running_figures,
    token_means,
)
from distill.evaluate.verbatim import verbatim_figure
from distill.evaluate.win_rate import win_figure
from distill.judge.passport import Passport
from distill.measure.intervals import Figure, over_seeds
from distill.recipe.task import ClassifyTask, ExtractTask, GenerateTask, GroundedTask, Task

SETS = ("gold", "val")
"""The first of these that was measured is the one the report leads with."""

NOT_SHARES = (
    "loss", "kl_to_teacher", "cost_per_1000", "rows_per_s", "tokens_per_row",
    "kappa", "kappa_quadratic", "kappa_linear", "pearson", "spearman", "kendall", "mae",
)  # fmt: skip
"""Metrics whose interval is not bounded by 0 and 1."""


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What one system (with one seed) said about one set of rows, in the order of the rows."""

    name: str
    """A SYSTEM of CONTRACT section 4."""
    answers: Sequence[Answered] | None = None
    """None where it was not asked (only its token figures are known)."""
    figures: Sequence[RowFigures] | None = None
    """None where there is no local model to read tokens with."""
    seconds: float | None = None
    """Wall time of asking; None where it was not timed."""
    price: Price | None = None
    passport: Passport | None = None
    """Of a judge: how far its verdicts agree with people."""
    shown: Sequence[Mapping[str, Any]] | None = None
    """The rows as it saw them, where those are not the set's own (passages that were found)."""
    examples: Sequence[str] = ()
    """Texts of others that stood in its prompt."""
    reused: Sequence[bool | None] | None = None
    """Whether each answer holds text of the training rows or examples; None where nobody looked."""
    faithful: Sequence[bool | None] | None = None
    """Whether each answer follows from its passages; None where no teacher judged that."""
    wins: Sequence[float | None] | None = None
    """1, 0.5 or 0 a row against the teacher's answer (or gold's); None where nobody judged that."""


@dataclass(frozen=True, slots=True)
class Combined:
    """The report's keys, as plain data."""

    metrics: dict[str, dict[str, Any]] | None
    metrics_on: str | None
    metrics_by_set: dict[str, dict[str, dict[str, Any]]] | None


def measure(
    task: Task,
    result: SystemResult,
    gold: Sequence[Any],
    records: Sequence[Mapping[str, Any]] = (),
    seed: int = 0,
) -> dict[str, Figure]:
    """METRIC -> figure of one system on one set.

    `gold` holds the expected output of every row, in the order of the answers, `records` the rows
    (which grounded tasks need); `seed` is that of the bootstrap, the same for all systems.
    """
    found: dict[str, Figure] = {}
    if result.answers is not None:
        found |= _quality(task, result, result.answers, gold, records, seed)
        if result.reused is not None:
            found["verbatim"] = verbatim_figure(result.reused)
    if result.figures is not None:
        found |= token_means(result.figures, seed)
    if result.answers is not None:
        found |= running_figures(result.answers, result.seconds, result.price, seed)
    return found


def combine(
    measured: Mapping[str, Mapping[str, Sequence[Mapping[str, Figure]]]],
) -> Combined:
    """SET -> SYSTEM -> one dict of figures per seed, as the report's three keys.

    A system with several seeds gets mean, sd and seeds; with one, its figures as they are.
    """
    sets = {
        name: {system: _over_seeds(runs) for system, runs in systems.items() if runs}
        for name, systems in measured.items()
    }
    lead = next((name for name in (*SETS, *sets) if sets.get(name)), None)
    if lead is None:
        return Combined(None, None, None)
    others = {name: systems for name, systems in sets.items() if name != lead}
    return Combined(sets[lead], lead, others)


def _quality(
    task: Task,
    result: SystemResult,
    answered: Sequence[Answered],
    gold: Sequence[Any],
    records: Sequence[Mapping[str, Any]],
    seed: int,
) -> dict[str, Figure]:
    answers = [answer.text for answer in answered]
    if isinstance(task, ClassifyTask):
        return classify_figures(answers, gold, task.labels, seed)
    if isinstance(task, ExtractTask):
        return extract_figures(answers, gold, task.schema_, seed)
    if isinstance(task, GenerateTask):
        found = generate_figures(answers, gold, seed)
        if result.shown is not None:
            found["faithful"] = faithful_figure(result.faithful)
        if result.wins is not None:
            found["win_rate"] = win_figure(result.wins, seed)
        return found
    if isinstance(task, GroundedTask):
        return grounded_figures(
            task,
            answers,
            gold,
            records,
            shown=result.shown,
            faithful=result.faithful,
            seed=seed,
        )
    if result.passport is not None:
        return passport_metrics(result.passport)
    raise RecipeError(f"task.kind: {task.kind}: a judge is measured by its passport")


def _over_seeds(runs: Sequence[Mapping[str, Figure]]) -> dict[str, Any]:
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: over_seeds(
            [run[name] for run in runs if name in run],
            within=None if name in NOT_SHARES else (0.0, 1.0),
        ).as_dict()
        for name in names
    }
