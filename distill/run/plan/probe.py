"""How good the teacher is on gold, asked before the money for the dataset is spent."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.evaluate.answers import answer_rows
from distill.evaluate.scores import row_scores
from distill.measure.intervals import Figure, proportion
from distill.recipe.generation import AskField
from distill.recipe.prompts import teacher_prompt
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import answer
from distill.recipe.task import GenerateTask, GroundedTask, JudgePairwiseTask, labels_of
from distill.rows.row import digest
from distill.run.context import Context, Outcome
from distill.run.keys import asked_teachers
from distill.run.models.as_generated import shown_to_teacher
from distill.run.models.filled_answers import can_fill, filled_answers, filled_by
from distill.run.rows.steps import generate_step, gold_records, limit_error
from teachers.errors import BudgetReached


def probed_generate_step(context: Context) -> Outcome:
    """Generation, after the probe where the recipe wants one."""
    found = None
    if context.recipe.generate is not None and context.recipe.generate.probe is not None:
        try:
            found = probe(context)
        except BudgetReached as error:
            raise limit_error(context.recipe, str(error)) from error
        context.say("generate", probe_words(found))
    outcome = generate_step(context)
    return Outcome(outcome.outputs, outcome.counts, {**outcome.details, "probe": found})


def probe(context: Context) -> dict[str, Any]:
    """What the teacher answers on so many gold rows: {teacher, metric, overall, by_label, failed}.

    Labels: the share that is right, by gold label. Texts: mean ROUGE-L against gold.
    """
    recipe = context.recipe
    assert recipe.generate is not None
    rows = chosen_rows(recipe, gold_records(context))
    name, spec = asked_of(recipe)
    in_flight = 4 * recipe.teachers[name].concurrency
    if filled_by(recipe) == name and can_fill(recipe, rows):
        online = {one: context.teachers.online(one) for one in asked_teachers(recipe)}
        asking = filled_answers(recipe, online, rows, in_flight)
    else:
        prompt = shown_to_teacher(recipe, spec, rows)
        asking = answer_rows(
            context.teachers.online(name),
            [prompt.ask_messages(row) for row in rows],
            choices=_choices(recipe, spec),
            schema=spec.schema_,
            max_tokens=spec.max_tokens,
            in_flight=in_flight,
        )
    answers = context.runner.run(asking)
    texts = [given.text for given in answers]
    if isinstance(recipe.task, JudgePairwiseTask):
        texts = [text.lower() if text else text for text in texts]
    expected = [row[recipe.task.output] for row in rows]
    return {
        "teacher": name,
        **_figures(recipe, texts, expected),
        "failed": sum(text is None for text in texts),
    }


def _figures(
    recipe: Recipe, texts: Sequence[str | None], expected: Sequence[Any]
) -> dict[str, Any]:
    labels = labels_of(recipe.task)
    if labels is not None:
        pairs = [(str(truth), str(truth) == text) for text, truth in zip(texts, expected)]  # noqa: B905
        by_label = {label: [right for truth, right in pairs if truth == label] for label in labels}
        return {
            "metric": "accuracy",
            "overall": proportion(sum(right for _, right in pairs), len(pairs)).as_dict(),
            "by_label": {
                label: proportion(sum(rights), len(rights)).as_dict()
                for label, rights in by_label.items()
            },
        }
    scores = row_scores(recipe.task, texts, expected)
    free = isinstance(recipe.task, GenerateTask | GroundedTask)
    mean = Figure(sum(scores) / len(scores), None, None, len(scores))
    overall = mean if free else proportion(round(sum(scores)), len(scores))
    return {
        "metric": "rouge_l" if free else "exact",
        "overall": overall.as_dict(),
        "by_label": None,
    }


def chosen_rows(recipe: Recipe, gold: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """As many gold rows as the probe wants, the same ones for the same seed."""
    assert recipe.generate is not None
    order = sorted(range(len(gold)), key=lambda at: digest([recipe.seed, "probe", at]))
    return [gold[at] for at in sorted(order[: recipe.generate.probe])]


def asked_of(recipe: Recipe) -> tuple[str, AskField]:
    """Who makes the output and how: the recipe's own field, else our default for the task."""
    named = teacher_prompt(recipe)
    if named is not None:
        return named
    generate = recipe.generate
    assert generate is not None
    asks = [spec.ask for spec in generate.fields.values() if isinstance(spec, AskField)]
    name = generate.ask or (asks[-1] if asks else next(iter(recipe.teachers)))
    return name, answer(recipe, name)


def _choices(recipe: Recipe, spec: AskField) -> list[str] | None:
    if isinstance(spec.choices, list):
        return spec.choices
    return labels_of(recipe.task) if spec.choices else None


def probe_words(found: Mapping[str, Any]) -> str:
    """The probe as one line."""
    overall = found["overall"]
    if overall["value"] is None:
        return f"teacher {found['teacher']!r} on gold: {overall['why']}"
    between = f" ({overall['low']:.2f} to {overall['high']:.2f})" if overall.get("low") else ""
    line = f"teacher {found['teacher']!r} on {overall['n']} gold rows: "
    line += f"{found['metric']} {overall['value']:.2f}{between}"
    known = [(f["value"], label) for label, f in (found["by_label"] or {}).items() if f["value"]
             is not None]  # fmt: skip
    if known:
        worst = ", ".join(f"{label} {value:.2f}" for value, label in sorted(known)[:3])
        line += f"; weakest: {worst}"
    return line
