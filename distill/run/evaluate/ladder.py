"""Asks the rungs below training: examples, steps of thought, actions, found passages."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distill.evaluate.answers import Answered
from distill.evaluate.asking import ask_task
from distill.evaluate.ladder import BREAK, ChainOfThought, FewShot, WithPassages, with_passages
from distill.evaluate.metrics import Price
from distill.evaluate.react import react_rows
from distill.evaluate.stage import SystemResult
from distill.recipe.given import objective_of
from distill.recipe.prompts import JUDGES, TaskPrompt, student_prompt
from distill.recipe.schema import Recipe
from distill.recipe.strategies.rationale import SAID
from distill.recipe.strategies.react import listed_tools, tools_of
from distill.recipe.strategy_options import ReactOptions
from distill.recipe.task import GenerateTask, GroundedTask
from distill.run.context import Context
from distill.run.evaluate.examples import Examples, examples_of
from distill.run.evaluate.retrieval import search_of
from distill.run.evaluate.sets import MeasuredSet
from distill.run.models.answering import answer_tokens, measured_teacher
from distill.run.models.hosted import hosted_models
from distill.run.models.students import ANSWER_TOKENS, BATCH, student_adapter
from teachers.config import LocalTeacher
from teachers.prices import price_of
from teachers.protocol import Teacher

RETRIEVED, CLOSED_BOOK = "retrieval", "closed_book"
OF_STUDENT = {RETRIEVED: "student_retrieval", CLOSED_BOOK: "student_closed_book"}
"""A rung of the base model -> the same asked of the student: the other half of the 2 x 2."""
STEPS = 4
"""Of a row that is worked on by actions."""

Ask = Callable[[Teacher, int], Awaitable[list[Answered]]]


@dataclass(frozen=True, slots=True)
class Model:
    """Somebody who can be prompted: a folder of weights, or one of the context's teachers."""

    name: str
    """For people: the teacher's name, or which student it is."""
    folder: str | None
    price: Price | None
    turns: bool
    """Whether it knows turns, so that examples are earlier ones."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to ask."""

    name: str
    ask: Ask
    shown: Sequence[Mapping[str, Any]] | None = None
    """The rows as the model sees them, where those are not the set's own."""
    examples: Sequence[str] = ()
    """Texts of others that stand in the prompt."""
    several: bool = False
    """Whether one answer takes several asks, one after the other."""


def ladder_results(
    context: Context, part: MeasuredSet, tell: Callable[[str], None]
) -> dict[str, list[SystemResult]]:
    """SYSTEM -> what was said on each rung of the recipe that is not measured elsewhere."""
    model = prompted_model(context)
    found: dict[str, list[SystemResult]] = {}
    if model is None:
        return found
    rungs = rungs_of(context, part, model)
    for name, result in climb(context, part, model, rungs, tell).items():
        found[name] = [result]
    student = student_model(context)
    if student is not None and "retrieval" in baselines_of(context.recipe):
        prompt = student_prompt(context.recipe) if student.folder else None
        limit = answer_tokens(context.recipe) if student.folder else None
        asked = _retrieval(context, prompt or TaskPrompt.from_recipe(context.recipe), part, limit)
        twins = [replace(rung, name=OF_STUDENT[rung.name]) for rung in asked]
        for name, result in climb(context, part, student, twins, tell).items():
            found[name] = [result]
    return found


def ladder_facts(context: Context) -> dict[str, Any] | None:
    """Who climbed the ladder and what it was shown; None where the recipe has no rung of it."""
    recipe = context.recipe
    assert recipe.evaluate is not None
    asked = {"zero_shot", "few_shot", "chain_of_thought", "react", "retrieval"}
    model = prompted_model(context)
    if model is None or not asked & set(recipe.evaluate.baselines):
        return None
    facts: dict[str, Any] = {
        "asked": model.name,
        "is_teacher": model.name == measured_teacher(recipe),
        "few_shot": None,
        "retrieval": None,
    }
    if "few_shot" in recipe.evaluate.baselines:
        examples = examples_of(context, max(recipe.evaluate.few_shot))
        facts["few_shot"] = {**examples.as_dict(), "seed": recipe.seed, "turns": model.turns}
    if "retrieval" in recipe.evaluate.baselines:
        search = search_of(recipe)
        facts["retrieval"] = {
            "method": search.method,
            "passages": search.passages,
            "among": search.size,
        }
    return facts


def baselines_of(recipe: Recipe) -> frozenset[str]:
    """The baselines that a recipe asks for."""
    return frozenset(recipe.evaluate.baselines if recipe.evaluate else ())


def rung_count(recipe: Recipe) -> int:
    """How many rungs are asked about each set, for the progress."""
    evaluate = recipe.evaluate
    assert evaluate is not None
    several = {"few_shot": len(set(evaluate.few_shot)), "retrieval": 2, "majority": 0}
    zero = 0 if recipe.student and evaluate.ask is None else 1
    return sum(
        zero if name == "zero_shot" else several.get(name, 1) for name in set(evaluate.baselines)
    )


def prompted_model(context: Context) -> Model | None:
    """Who climbs the ladder: `evaluate.ask`, else the student's base model, else the teacher.

    A classifier cannot be prompted, so its teacher is.
    """
    recipe = context.recipe
    assert recipe.evaluate is not None
    if objective_of(recipe) == "clm":
        return None  # raw text is no answer to anything
    if recipe.evaluate.ask is not None:
        return teacher_model(context, recipe.evaluate.ask)
    base = trained_model(context, "student_before")
    if base is not None:
        return base
    name = measured_teacher(recipe)
    return teacher_model(context, name) if name is not None else None


def student_model(context: Context) -> Model | None:
    """The trained student, None where there is none that can be prompted."""
    return trained_model(context, "student")


def trained_model(context: Context, name: str) -> Model | None:
    """One of the models of training, its first seed."""
    recipe, trained = context.recipe, context.directory.done("train")
    if trained is None or recipe.student is None or recipe.student.kind == "classifier":
        return None
    if name in hosted_models(trained):
        return Model(name, None, _student_price(recipe), turns=True)
    folders = trained.details["models"].get(name)
    if not folders:
        return None
    folder = context.directory.model(folders[0])
    return Model(name, folder, _student_price(recipe), writes_turns(folder))


def teacher_model(context: Context, name: str) -> Model:
    """One of the recipe's teachers."""
    config = context.recipe.teachers[name]
    known = None if isinstance(config, LocalTeacher) else price_of(config)
    turns = getattr(config, "chat", None) is not False
    if isinstance(config, LocalTeacher):
        turns = turns and writes_turns(context.sources.get(name, ""))
    return Model(name, None, Price(known.input, known.output) if known else None, turns)


def writes_turns(folder: str) -> bool:
    """Whether a folder's tokenizer has a chat template; of a hub's model we take it that it has."""
    path = Path(folder)
    if not path.is_dir():
        return True
    config = path / "tokenizer_config.json"
    told = config.is_file() and '"chat_template"' in config.read_text("utf-8")
    return told or (path / "chat_template.jinja").is_file()


def rungs_of(context: Context, part: MeasuredSet, model: Model) -> list[Rung]:
    """The rungs that the recipe asks for, from the bottom."""
    recipe = context.recipe
    evaluate = recipe.evaluate
    assert evaluate is not None
    prompt = student_prompt(recipe) if model.folder else TaskPrompt.from_recipe(recipe)
    limit = answer_tokens(recipe) if model.folder else None
    found = []
    if "zero_shot" in evaluate.baselines and model.name != "student_before":
        found.append(Rung("zero_shot", plain(prompt, part.records, limit)))
    if "few_shot" in evaluate.baselines:
        examples = examples_of(context, max(evaluate.few_shot))
        for count in sorted(set(evaluate.few_shot)) if examples.rows else ():
            found.append(_few_shot(prompt, part, model, examples, count, limit))
    longer = max(limit, ANSWER_TOKENS) if limit else None
    if "chain_of_thought" in evaluate.baselines:
        thinking = ChainOfThought(prompt.task, prompt.template)
        pattern = None if isinstance(prompt.task, JUDGES) else SAID
        asked = plain(thinking, part.records, longer, pattern)
        found.append(Rung("chain_of_thought", asked))
    if "react" in evaluate.baselines:
        asked = _react(context, prompt, part, longer)
        found.append(Rung("react", asked, several=True))
    if "retrieval" in evaluate.baselines:
        found += _retrieval(context, prompt, part, limit)
    return found


def climb(
    context: Context,
    part: MeasuredSet,
    model: Model,
    rungs: Sequence[Rung],
    tell: Callable[[str], None],
) -> dict[str, SystemResult]:
    """What a model says on each rung; its weights are loaded once."""
    if not rungs:
        return {}
    return context.runner.run(_climb(context, part, model, rungs, tell))


async def _climb(
    context: Context,
    part: MeasuredSet,
    model: Model,
    rungs: Sequence[Rung],
    tell: Callable[[str], None],
) -> dict[str, SystemResult]:
    own = student_adapter(model.folder, answer_tokens(context.recipe)) if model.folder else None
    config = None if own is not None else context.teachers.config(model.name)
    in_flight = 4 * (BATCH if config is None else config.concurrency)
    found = {}
    try:
        if own is not None:  # loading is not answering
            prompt = TaskPrompt.from_recipe(context.recipe)
            await ask_task(own, prompt, part.records[:1], max_tokens=1)
        for rung in rungs:
            tell(f"{part.name}: {rung.name}")
            started = time.monotonic()
            answers = await rung.ask(own or _asked(context, model.name, rung), in_flight)
            seconds = time.monotonic() - started
            if isinstance(config, LocalTeacher):  # that its hardware is free, nobody has said
                answers = [replace(answer, cost_usd=None) for answer in answers]
            found[rung.name] = SystemResult(
                rung.name,
                answers,
                None,
                seconds,
                model.price,
                shown=rung.shown,
                examples=rung.examples,
            )
    finally:
        if own is not None:
            await own.close()
    return found


def _asked(context: Context, name: str, rung: Rung) -> Teacher:
    """A teacher; one that answers by batch is asked at once where an answer leads to the next."""
    return context.teachers.online(name) if rung.several else context.teachers[name]


def plain(
    prompt: TaskPrompt,
    records: Sequence[Mapping[str, Any]],
    limit: int | None,
    pattern: str | None = None,
) -> Ask:
    """Asks each row once."""
    known = pattern if pattern is not None else prompt.task.answer_pattern

    async def ask(teacher: Teacher, in_flight: int) -> list[Answered]:
        return await ask_task(
            teacher, prompt, records, max_tokens=limit, in_flight=in_flight, pattern=known
        )

    return ask


def _few_shot(
    prompt: TaskPrompt,
    part: MeasuredSet,
    model: Model,
    examples: Examples,
    count: int,
    limit: int | None,
) -> Rung:
    shown = tuple(prompt.conversation(row) for _, row in examples.rows[:count])
    asked = plain(FewShot(prompt.task, prompt.template, shown, model.turns), part.records, limit)
    free = isinstance(prompt.task, GenerateTask | GroundedTask)
    broken = any(BREAK in turns[-1].content for turns in shown)
    texts = [turn.content for turns in shown for turn in turns[-2:]]
    if model.turns or not free or broken:
        return Rung(f"few_shot_{count}", asked, examples=texts)

    async def ask(teacher: Teacher, in_flight: int) -> list[Answered]:
        """A model that continues a text writes the next example behind its answer."""
        return [
            replace(one, text=one.text.strip().split(BREAK)[0]) if one.text is not None else one
            for one in await asked(teacher, in_flight)
        ]

    return Rung(f"few_shot_{count}", ask, examples=texts)


def _react(context: Context, prompt: TaskPrompt, part: MeasuredSet, limit: int | None) -> Ask:
    from distill.generate.act import Tools
    from distill.generate.sources import Sources

    recipe = context.recipe
    named = tools_of(recipe, ReactOptions())
    tools = Tools(recipe, named, Sources(recipe), "evaluate.baselines")

    async def ask(teacher: Teacher, in_flight: int) -> list[Answered]:
        return await react_rows(
            teacher,
            prompt,
            part.records,
            tools.use,
            listed_tools(named),
            steps=STEPS,
            max_tokens=limit,
            in_flight=in_flight,
        )

    return ask


def _retrieval(
    context: Context, prompt: TaskPrompt, part: MeasuredSet, limit: int | None
) -> list[Rung]:
    """With found passages; of a grounded task, whose rows bring theirs, also with none at all."""
    search = search_of(context.recipe)
    wider = WithPassages(prompt.task, prompt.template)
    shown = with_passages(prompt.task, part.records, search.find)
    found = [Rung(RETRIEVED, plain(wider, shown, limit), shown)]
    if isinstance(prompt.task, GroundedTask):
        bare = [{**row, prompt.task.passages: []} for row in part.records]
        found.append(Rung(CLOSED_BOOK, plain(wider, bare, limit), bare))
    return found


def _student_price(recipe: Recipe) -> Price | None:
    price = recipe.student.price if recipe.student else None
    return Price(price.input, price.output, price.gpu_hour) if price else None
