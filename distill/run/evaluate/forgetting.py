"""Measures what students could do before training and can do after, for the report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distill.evaluate.forgetting import (
    QUESTIONS,
    TEXT,
    Measure,
    Score,
    forgetting_part,
    read_questions,
    read_texts,
    score_questions,
    score_texts,
)
from distill.measure.intervals import nothing
from distill.progress import Progress
from distill.recipe.files import locate
from distill.recipe.forgetting import Forgetting, suite_of
from distill.recipe.schema import Recipe
from distill.run.context import Context

if TYPE_CHECKING:
    from teachers.local_model import LocalModel

BEFORE, AFTER = "student_before", "student"
NO_CLASSIFIER = "a classifier answers with its labels only, before and after"
HOSTED = "a hosted student tells no likelihoods of given answers"
NO_START = "the tokenizer names no token that a text could start with"


def measure_forgetting(context: Context) -> dict[str, Any] | None:
    """`forgetting` of report.json; None where the recipe does not ask, or nothing was trained."""
    recipe, trained = context.recipe, context.directory.done("train")
    suite = suite_of(recipe.evaluate.forgetting) if recipe.evaluate else None
    if suite is None or trained is None or recipe.student is None:
        return None
    if recipe.student.kind == "classifier":
        return {QUESTIONS: _unknown("accuracy", NO_CLASSIFIER)}
    if recipe.student.method == "hosted":
        return {QUESTIONS: _unknown("accuracy", HOSTED)}
    from teachers.local_model import LocalModel

    folders = {
        name: [context.directory.model(ref) for ref in trained.details["models"][name]]
        for name in (BEFORE, AFTER)
    }
    questions = read_questions() if suite.questions else []
    texts = read_texts(locate(recipe, suite.text) if suite.text else None)
    known: dict[str, dict[str, Sequence[Score]]] = {}
    measures: dict[str, Measure] = {}
    for folder in dict.fromkeys([*folders[BEFORE], *folders[AFTER]]):
        context.listen(Progress("evaluate", len(known), None, {"asking": "general abilities"}))
        model = LocalModel.load(folder)
        known[folder] = _own_suite(model, questions, texts, measures)
        if suite.tasks:
            known[folder] |= _tasks(recipe, suite, model, measures)
        model.release()
    before, after = ([known[folder] for folder in folders[name]] for name in (BEFORE, AFTER))
    topics = {QUESTIONS: [question.topic for question in questions]}
    found = forgetting_part(before, after, measures, topics, recipe.seed)
    return found if TEXT in measures else {TEXT: _unknown("bits_per_byte", NO_START), **found}


def _own_suite(
    model: "LocalModel",
    questions: Sequence[Any],
    texts: Sequence[str],
    measures: dict[str, Measure],
) -> dict[str, Sequence[Score]]:
    """What one model scores on the bundled items; notes how they are read."""
    found: dict[str, Sequence[Score]] = {}
    if (bits := score_texts(model, texts)) is not None:
        found[TEXT] = bits
        measures[TEXT] = Measure("bits_per_byte", lower_is_better=True)
    if questions:
        found[QUESTIONS] = score_questions(model, questions)
        chance = sum(1 / len(question.choices) for question in questions) / len(questions)
        measures[QUESTIONS] = Measure("accuracy", chance=chance)
    return found


def _tasks(
    recipe: Recipe, suite: Forgetting, model: "LocalModel", measures: dict[str, Measure]
) -> dict[str, Sequence[Score]]:
    from distill.evaluate.harness import harness_scores

    include = locate(recipe, suite.task_folder) if suite.task_folder else None
    found = harness_scores(model, suite.tasks, include=include, limit=suite.limit)
    measures.update({name: task.measure for name, task in found.items()})
    return {name: task.scores for name, task in found.items()}


def _unknown(metric: str, why: str) -> dict[str, Any]:
    none = nothing(why).as_dict()
    return {
        "metric": metric,
        "lower_is_better": metric != "accuracy",
        "chance": None,
        "student_before": none,
        "student": none,
        "difference": none,
        "worse": None,
        "by_topic": None,
    }
