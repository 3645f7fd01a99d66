"""The step that measures: the student, the same before training, the teacher and cheaper ways."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.errors import Problem, RunError
from distill.evaluate.answers import Answered
from distill.evaluate.scores import row_scores
from distill.evaluate.stage import SystemResult, combine, measure
from distill.measure.intervals import Figure, proportion
from distill.recipe.schema import Recipe
from distill.rows.answers import write_answers
from distill.rows.row import canonical_json, digest
from distill.run.context import Context, Outcome
from distill.run.evaluate.answer_parts import answer_parts
from distill.run.evaluate.judged import judged
from distill.run.evaluate.parts import Lead, further_parts
from distill.run.evaluate.sets import MeasuredSet, measured_sets
from distill.run.evaluate.systems import Asking, student_result, system_results, systems_asked

SAMPLES = 24


def evaluate_step(context: Context) -> Outcome:
    """Asks every system about every held-out row and works out the figures."""
    sets = measured_sets(context)
    asking = Asking(context.listen, len(sets) * systems_asked(context))
    measured: dict[str, dict[str, list[dict[str, Figure]]]] = {part.name: {} for part in sets}
    first: dict[str, SystemResult] = {}
    asked: dict[str, dict[str, list[SystemResult]]] = {}
    lines: list[dict[str, Any]] = []
    for part in sets:
        asked[part.name] = system_results(context, part, asking)
        for name, results in asked[part.name].items():
            figures = [
                measure(context.recipe.task, result, part.expected, part.records)
                for result in results
            ]
            measured[part.name][name] = figures
            if part is sets[0]:
                first[name] = results[0]
            lines += answer_lines(context.recipe, part, name, results[0].answers)
    asking.finish()
    _add_pairs(context, measured.get("val", {}))
    write_answers(context.directory.stage("evaluate"), lines)
    found = combine(measured)
    lead = measured[found.metrics_on] if found.metrics_on else {}
    details = {
        **further_parts(context, _lead(context, sets, asked, measured)),
        **answer_parts(context, sets, first),
        "metrics": found.metrics,
        "metrics_on": found.metrics_on,
        "metrics_by_set": found.metrics_by_set,
        "seeds": seed_values(lead),
        "answers": answer_samples(context.recipe, sets[0], answers_of(first)) if sets else [],
    }
    return Outcome(digest(canonical_json(found.metrics)), {}, details)


def answers_of(results: Mapping[str, SystemResult]) -> dict[str, Sequence[Answered]]:
    """SYSTEM -> its answers, of those that were asked."""
    return {name: one.answers for name, one in results.items() if one.answers is not None}


def _lead(
    context: Context,
    sets: Sequence[MeasuredSet],
    asked: Mapping[str, Mapping[str, Sequence[SystemResult]]],
    measured: Mapping[str, Mapping[str, Sequence[Mapping[str, Figure]]]],
) -> Lead | None:
    if not sets:
        return None
    part = sets[0]

    def ask(name: str, folder: str) -> SystemResult:
        found = {name: [student_result(context, part, name, folder)]}
        return judged(context, part, found, lambda _: None)[name][0]

    return Lead(part.records, part.expected, asked[part.name], measured[part.name], ask)


def _add_pairs(context: Context, measured: Mapping[str, Sequence[dict[str, Figure]]]) -> None:
    """The share of held-out pairs that each student of a preference distillation tells right."""
    trained = context.directory.done("train")
    pairs = trained.details.get("pairs", []) if trained else []
    for figures, found in zip(measured.get("student", ()), pairs, strict=False):
        if found is not None and found["n"]:
            figures["pair_accuracy"] = proportion(int(found["right"]), found["n"])


def seed_values(measured: Mapping[str, Sequence[Mapping[str, Figure]]]) -> dict[str, Any]:
    """METRIC -> SYSTEM -> value of each seed, for paired differences."""
    values: dict[str, dict[str, list[float | None]]] = {}
    for system, runs in measured.items():
        for run in runs if len(runs) > 1 else ():
            for metric, figure in run.items():
                values.setdefault(metric, {}).setdefault(system, []).append(figure.value)
    return values


def answer_samples(
    recipe: Recipe, part: MeasuredSet, answers: Mapping[str, Sequence[Answered]]
) -> list[dict[str, Any]]:
    """Some held-out rows with what student and teacher said, the wrong ones first."""
    rows = []
    for place, record in enumerate(part.records):
        said = {
            name: answers[name][place].text for name in ("student", "teacher") if name in answers
        }
        rows.append(
            {
                "id": part.ids[place],
                "input": record.get(recipe.task.input),
                "gold": part.expected[place],
                "student": said.get("student"),
                "teacher": said.get("teacher"),
            }
        )
    wrong = [row for row in rows if row["student"] != row["gold"]]
    right = [row for row in rows if row["student"] == row["gold"]]
    return [*wrong[: SAMPLES // 2], *right[: SAMPLES // 2]]


def answer_lines(
    recipe: Recipe, part: MeasuredSet, system: str, answers: Sequence[Answered] | None
) -> list[dict[str, Any]]:
    """What one system said about every row of a set, for people and for later recipes."""
    if answers is None:
        return []
    texts = [answer.text for answer in answers]
    scores = row_scores(recipe.task, texts, part.expected)
    return [
        {
            "set": part.name,
            "system": system,
            "id": part.ids[place],
            "fields": dict(record),
            "expected": part.expected[place],
            "answered": texts[place],
            **({"wrote": wrote} if (wrote := answers[place].wrote) is not None else {}),
            "score": scores[place],
        }
        for place, record in enumerate(part.records)
    ]


def refuse_below(recipe: Recipe, report: Mapping[str, Any]) -> None:
    """Raises RunError when the student misses what `evaluate.require` asks for."""
    required = recipe.evaluate.require if recipe.evaluate else {}
    student = (report["metrics"] or {}).get("student", {})
    problems = []
    for metric, least in required.items():
        value = student.get(metric, {}).get("value")
        if value is None or value < least:
            problems.append(
                Problem(
                    file=recipe._source,
                    key=f"evaluate.require.{metric}",
                    found=f"the student of {recipe.name} has {metric} {value}",
                    allowed=f"at least {least:g}",
                    fix="See the report: more rows or steps, a larger student, or a lower bar.",
                )
            )
    if problems:
        raise RunError(str(problems[0]), problems)
