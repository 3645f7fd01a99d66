"""The step that measures: the student, the same before training, the teacher and cheaper ways."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distill.errors import Problem, RunError
from distill.evaluate.answers import Answered, answer_rows
from distill.evaluate.metrics import Price, majority_answers
from distill.evaluate.scores import row_scores
from distill.evaluate.stage import SystemResult, combine, measure
from distill.measure.intervals import Figure, proportion
from distill.progress import Listener, Progress
from distill.recipe.files import text_of
from distill.recipe.generation import AskField
from distill.recipe.given import FIELDS, objective_of
from distill.recipe.prompts import TaskPrompt, student_prompt, teacher_prompt
from distill.recipe.schema import Recipe
from distill.recipe.task import ClassifyTask, ExtractTask, GenerateTask
from distill.recipe.templates import Template
from distill.rows.answers import write_answers
from distill.rows.dataset import read_dataset
from distill.rows.identity import row_ids
from distill.rows.row import canonical_json, digest
from distill.run.context import Context, Outcome
from distill.run.evaluate_parts import further_parts
from distill.run.hosted import hosted_models, hosted_result
from distill.run.keys import asked_teachers
from distill.run.local_models import signal_teacher
from distill.run.rows_steps import gold_records
from distill.run.students import ANSWER_TOKENS, ask_student, read_texts, read_tokens
from teachers.config import LocalTeacher
from teachers.prices import price_of
from teachers.protocol import Message, user

SAMPLES = 24

Prompts = list[tuple[Message, ...]]


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """Held-out rows and what each should be answered with."""

    name: str
    ids: Sequence[str]
    """The rows' own, else of their content: they stay when rows are added or moved."""
    records: Sequence[Mapping[str, Any]]
    expected: Sequence[Any]
    prompts: Prompts


def evaluate_step(context: Context) -> Outcome:
    """Asks every system about every held-out row and works out the figures."""
    sets = measured_sets(context)
    asking = Asking(context.listen, len(sets) * systems_asked(context))
    measured: dict[str, dict[str, list[dict[str, Figure]]]] = {part.name: {} for part in sets}
    first_answers: dict[str, Sequence[Answered]] = {}
    lines: list[dict[str, Any]] = []
    for part in sets:
        for name, results in system_results(context, part, asking).items():
            figures = [measure(context.recipe.task, result, part.expected) for result in results]
            measured[part.name][name] = figures
            if part is sets[0] and results[0].answers is not None:
                first_answers[name] = results[0].answers
            lines += answer_lines(context.recipe, part, name, results[0].answers)
    asking.finish()
    _add_pairs(context, measured.get("val", {}))
    write_answers(context.directory.stage("evaluate"), lines)
    found = combine(measured)
    lead = measured[found.metrics_on] if found.metrics_on else {}
    details = {
        **further_parts(context),
        "metrics": found.metrics,
        "metrics_on": found.metrics_on,
        "metrics_by_set": found.metrics_by_set,
        "seeds": seed_values(lead),
        "answers": answer_samples(context.recipe, sets[0], first_answers) if sets else [],
    }
    return Outcome(digest(canonical_json(found.metrics)), {}, details)


def _add_pairs(context: Context, measured: Mapping[str, Sequence[dict[str, Figure]]]) -> None:
    """The share of held-out pairs that each student of a preference distillation tells right."""
    trained = context.directory.done("train")
    pairs = trained.details.get("pairs", []) if trained else []
    for figures, found in zip(measured.get("student", ()), pairs, strict=False):
        if found is not None and found["n"]:
            figures["pair_accuracy"] = proportion(int(found["right"]), found["n"])


def measured_sets(context: Context) -> list[MeasuredSet]:
    """The sets that the recipe measures on, those without rows left out."""
    recipe = context.recipe
    assert recipe.evaluate is not None
    prompt = TaskPrompt.from_recipe(recipe)
    records: dict[str, Sequence[Mapping[str, Any]]] = {"gold": gold_records(context)}
    ids = {"gold": row_ids(records["gold"])}
    if "val" in recipe.evaluate.on and (context.directory.dataset / "val.jsonl").is_file():
        rows = read_dataset(context.directory.dataset, "val")
        ids["val"] = [row.id for row in rows]
        records["val"] = [{"text": row.text} if row.text else row.fields for row in rows]
    return [
        MeasuredSet(
            name,
            ids[name][: len(held)],
            held,
            [row[recipe.task.output] for row in held],
            [prompt.ask_messages(row) for row in held],
        )
        for name in dict.fromkeys(recipe.evaluate.on)
        if (held := list(records.get(name, ()))[: recipe.evaluate.limit])
    ]


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
    return students + (measured_teacher(context.recipe) is not None)


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
    assert recipe.evaluate is not None
    if "zero_shot" in recipe.evaluate.baselines and "student_before" in results:
        # The base model with the task's prompt and no examples: the student before training.
        results["zero_shot"] = results["student_before"]
    if "majority" in recipe.evaluate.baselines and isinstance(recipe.task, ClassifyTask):
        train = [
            str(row.fields[recipe.task.output])
            for row in read_dataset(context.directory.dataset, "train")
        ]
        results["majority"] = [SystemResult("majority", majority_answers(train, len(part.prompts)))]
    return results


def student_result(context: Context, part: MeasuredSet, name: str, folder: str) -> SystemResult:
    """What one trained model says, and how well it predicts the expected text."""
    recipe = context.recipe
    if objective_of(recipe) == "clm":  # raw text is no answer to anything
        texts = [str(row) for row in part.expected]
        return SystemResult(name, figures=read_texts(folder, texts, recipe.train))
    price = recipe.student.price if recipe.student else None
    shown = student_prompt(recipe)
    prompts = [shown.ask_messages(row) for row in part.records]
    answers, seconds = context.runner.run(
        ask_student(shown.task, folder, prompts, answer_tokens(recipe))
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


def measured_teacher(recipe: Recipe) -> str | None:
    """The teacher that is measured beside the student: who wrote the labels, or gave the signal."""
    if objective_of(recipe) in FIELDS and not asked_teachers(recipe):
        return None
    named = teacher_prompt(recipe)
    return named[0] if named else signal_teacher(recipe)


def teacher_result(context: Context, part: MeasuredSet, asking: Asking) -> SystemResult | None:
    """What the teacher says about one set, asked as it was asked for the dataset."""
    recipe = context.recipe
    name = measured_teacher(recipe)
    if name is None:
        return None
    named = teacher_prompt(recipe)
    prompts = teacher_prompts(recipe, part, named[1] if named else None)
    asking.tell(f"{part.name}: teacher")
    started = time.monotonic()
    answers = context.runner.run(
        answer_rows(
            context.teachers[name],
            prompts,
            choices=recipe.task.labels if isinstance(recipe.task, ClassifyTask) else None,
            schema=recipe.task.schema_ if isinstance(recipe.task, ExtractTask) else None,
            max_tokens=named[1].max_tokens if named else None,
            in_flight=4 * recipe.teachers[name].concurrency,
        )
    )
    seconds = time.monotonic() - started
    known = price_of(recipe.teachers[name])
    if not isinstance(recipe.teachers[name], LocalTeacher):
        price = Price(known.input, known.output) if known else None
        return SystemResult("teacher", answers, None, seconds, price)
    # A local model is free for the budget; that its hardware is free too, nobody has said.
    unpriced = [replace(answer, cost_usd=None) for answer in answers]
    return SystemResult("teacher", unpriced, None, seconds)


def teacher_prompts(recipe: Recipe, part: MeasuredSet, spec: AskField | None) -> Prompts:
    """The generation's own prompt where the held-out rows have its fields, else the student's."""
    if spec is None:
        return part.prompts
    template = Template(text_of(recipe, spec.prompt), spec.prompt)
    if not all(template.names <= row.keys() for row in part.records):
        return part.prompts
    return [user(template.render(row)) for row in part.records]


def answer_tokens(recipe: Recipe) -> int:
    """Most tokens of a student's answer: as many as its teacher was allowed."""
    named = teacher_prompt(recipe)
    if named is None:
        return ANSWER_TOKENS
    return named[1].max_tokens or recipe.teachers[named[0]].max_tokens


def signal_source(context: Context) -> str | None:
    """Where the local teacher's weights lie whose probabilities the student is compared with."""
    name = signal_teacher(context.recipe)
    return context.sources.get(name) if name else None


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
