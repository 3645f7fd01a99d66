"""Who is asked about held-out rows: the teacher, every student, and what costs nothing."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from distill.evaluate.asking import ask_task
from distill.evaluate.judging import (
    constant_verdicts,
    longer_verdicts,
)
from distill.evaluate.metrics import Price, majority_answers
from distill.evaluate.stage import SystemResult
from distill.progress import Listener, Progress
from distill.recipe.generation import AskField
from distill.recipe.given import objective_of
from distill.recipe.prompts import JUDGES, TaskPrompt, student_prompt, teacher_prompt
from distill.recipe.schema import Recipe
from distill.recipe.task import (
    ClassifyTask,
    GenerateTask,
    JudgeAbsoluteTask,
    JudgePairwiseTask,
)
from distill.rows.dataset import read_dataset
from distill.run.context import Context
from distill.run.evaluate.against import against_names, against_results
from distill.run.evaluate.judged import judged
from distill.run.evaluate.ladder import ladder_results, rung_count
from distill.run.evaluate.reuse import with_reuse
from distill.run.evaluate.sets import MeasuredSet
from distill.run.keys import asked_teachers
from distill.run.models.answering import answer_tokens, measured_teacher
from distill.run.models.as_generated import shown_to_teacher
from distill.run.models.filled_answers import can_fill, filled_answers, filled_by
from distill.run.models.hosted import hosted_models, hosted_result
from distill.run.models.local import signal_teacher
from distill.run.models.students import ask_student, read_texts, read_tokens
from teachers.config import LocalTeacher
from teachers.prices import price_of


@dataclass(slots=True)
class Asking:
    """Tells which system is being asked, and how many are left."""

    listen: Listener
    total: int
    done: int = 0

    def tell(self, what: str) -> None:
        """Says who is asked next."""
        self.listen(Progress("evaluate", self.done, self.total, {"asking": what}))
        self.done += 1

    def finish(self) -> None:
        """Says that everybody was asked."""
        self.listen(Progress("evaluate", self.total, self.total))


def systems_asked(context: Context) -> int:
    """How many systems are asked about each set: the teacher, and every student of every seed."""
    trained = context.directory.done("train")
    students = sum(map(len, trained.details["models"].values())) if trained else 0
    students += len(hosted_models(trained))
    teacher = measured_teacher(context.recipe) is not None
    return students + teacher + rung_count(context.recipe) + len(against_names(context.recipe))


def system_results(
    context: Context, part: MeasuredSet, asking: Asking
) -> dict[str, list[SystemResult]]:
    """What every system said about one set: SYSTEM -> one result per seed."""
    recipe = context.recipe
    results: dict[str, list[SystemResult]] = {}
    if (teacher := teacher_result(context, part, asking)) is not None:
        results["teacher"] = [teacher]
    trained = context.directory.done("train")
    models: Mapping[str, Sequence[str]] = trained.details["models"] if trained else {}
    for name, folders in models.items():
        results[name] = []
        for folder in folders:
            asking.tell(f"{part.name}: {name}")
            results[name].append(
                student_result(context, part, name, context.directory.model(folder))
            )
    for name, model in hosted_models(trained).items():
        asking.tell(f"{part.name}: {name}")
        tokens = answer_tokens(recipe)
        results[name] = [hosted_result(context, name, model, part.records, tokens)]
    results |= ladder_results(context, part, asking.tell)
    results |= against_results(context, part, asking.tell)
    results |= free_results(context, part)
    results = judged(context, part, with_reuse(context, results), asking.tell)
    assert recipe.evaluate is not None
    zero = "zero_shot" in recipe.evaluate.baselines and "zero_shot" not in results
    if zero and "student_before" in results:
        # The base model with the task's prompt and no examples: the student before training.
        results["zero_shot"] = results["student_before"]
    return results


def free_results(context: Context, part: MeasuredSet) -> dict[str, list[SystemResult]]:
    """Baselines that ask nobody: the commonest output of train, and the longer answer of a pair."""
    recipe = context.recipe
    assert recipe.evaluate is not None
    task = recipe.task
    if "majority" not in recipe.evaluate.baselines:
        return {}
    if not isinstance(task, ClassifyTask | JudgeAbsoluteTask | JudgePairwiseTask):
        return {}
    train = [row.fields[task.output] for row in read_dataset(context.directory.dataset, "train")]
    if isinstance(task, ClassifyTask):
        said = majority_answers([str(label) for label in train], len(part.prompts))
        return {"majority": [SystemResult("majority", said)]}
    found = {"majority": [SystemResult("majority", constant_verdicts(task, train, part.records))]}
    if isinstance(task, JudgePairwiseTask):
        found["longer"] = [SystemResult("longer", longer_verdicts(task, part.records))]
    return found


def student_result(context: Context, part: MeasuredSet, name: str, folder: str) -> SystemResult:
    """What one trained model says, and how well it predicts the expected text."""
    recipe = context.recipe
    if objective_of(recipe) == "clm":  # raw text is no answer to anything
        texts = [str(row) for row in part.expected]
        return SystemResult(name, figures=read_texts(folder, texts, recipe.train))
    price = recipe.student.price if recipe.student else None
    answers, seconds = context.runner.run(
        ask_student(student_prompt(recipe), folder, part.records, answer_tokens(recipe))
    )
    figures = None
    if isinstance(recipe.task, GenerateTask):
        teacher = signal_source(context)
        prompt = TaskPrompt.from_recipe(recipe)
        if all(prompt.completes(row) for row in part.records):
            conversations = [prompt.conversation(row) for row in part.records]
            figures = read_tokens(folder, teacher, conversations, recipe.train)
    rate = Price(price.input, price.output, price.gpu_hour) if price else None
    return SystemResult(name, answers, figures, seconds, rate)


def teacher_result(context: Context, part: MeasuredSet, asking: Asking) -> SystemResult | None:
    """What the teacher says about one set, asked as it was asked for the dataset."""
    recipe = context.recipe
    name = measured_teacher(recipe)
    if name is None:
        return None
    named = teacher_prompt(recipe)
    spec = named[1] if named else None
    asking.tell(f"{part.name}: teacher")
    started = time.monotonic()
    in_flight = 4 * recipe.teachers[name].concurrency
    if spec is None and filled_by(recipe) == name and can_fill(recipe, part.records):
        # One answer leads to the next, so a batch would be waited for again and again.
        online = {one: context.teachers.online(one) for one in asked_teachers(recipe)}
        answering = filled_answers(recipe, online, part.records, in_flight)
    else:
        answering = ask_task(
            context.teachers[name],
            shown_to_teacher(recipe, spec, part.records),
            part.records,
            max_tokens=_limit(recipe, name, spec),
            in_flight=in_flight,
            constrained=spec is not None and spec.choices is not None,
        )
    answers = context.runner.run(answering)
    seconds = time.monotonic() - started
    known = price_of(recipe.teachers[name])
    if not isinstance(recipe.teachers[name], LocalTeacher):
        price = Price(known.input, known.output) if known else None
        return SystemResult("teacher", answers, None, seconds, price)
    # A local model is free for the budget; that its hardware is free too, nobody has said.
    unpriced = [replace(answer, cost_usd=None) for answer in answers]
    return SystemResult("teacher", unpriced, None, seconds)


def _limit(recipe: Recipe, name: str, spec: AskField | None) -> int | None:
    """Most tokens of a teacher's answer; None: its own limit."""
    given = spec.max_tokens if spec else None
    return given or (recipe.teachers[name].max_tokens if isinstance(recipe.task, JUDGES) else None)


def signal_source(context: Context) -> str | None:
    """Where the local teacher's weights lie whose probabilities the student is compared with."""
    name = signal_teacher(context.recipe)
    return context.sources.get(name) if name else None
