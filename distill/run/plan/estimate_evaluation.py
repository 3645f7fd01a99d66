"""What evaluation will ask of teachers: held-out rows times systems, from the prompts."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from distill.errors import DistillError
from distill.plan.estimate import NOTHING, Load, Span, Terms, estimate, tokens_of
from distill.recipe.expand import expand
from distill.recipe.files import locate
from distill.recipe.generation import AskField, Chunk
from distill.recipe.given import objective_of
from distill.recipe.prompts import JUDGES, TaskPrompt
from distill.recipe.schema import Recipe
from distill.recipe.task import GenerateTask, GroundedTask, JudgePairwiseTask, labels_of
from distill.rows.readers import read_records
from distill.run.evaluate.against import against_names
from distill.run.evaluate.ladder import STEPS
from distill.run.models.answering import measured_teacher
from distill.run.models.filled_answers import filled_by

LOOKED_AT = 50
"""Rows whose prompts are rendered."""
SHORT_ANSWER = 20
ONCE = Span(1, 1, 1)
ACTIONS = Span(2, 1, STEPS)
"""Asks of a row that is worked on by actions."""
TOKENS_PER_WORD = Span(1.4, 1.0, 2.5)


def evaluation_estimate(recipe: Recipe, terms: Mapping[str, Terms]) -> dict[str, Any] | None:
    """`calls`, `tokens`, `usd`, `seconds` of evaluation and `asked`, its calls by system.

    Local students cost time and no asks; answers that are stored already (a teacher on rows that it
    labelled) count in the high end only. None where nothing is evaluated, or no teacher is asked.
    """
    if recipe.evaluate is None:
        return None
    loads = list(_loads(recipe, _rows(recipe), _prompt_tokens(recipe)))
    if not loads:
        return None
    by_teacher: dict[str, Load] = {}
    asked: dict[str, Span] = {}
    for system, load in loads:
        by_teacher[load.teacher] = _sum(by_teacher.get(load.teacher), load)
        asked[system] = asked.get(system, NOTHING) + load.calls
    figures = estimate(ONCE, list(by_teacher.values()), terms, 1)
    return {**figures, "asked": {name: calls.as_dict(whole=True) for name, calls in asked.items()}}


def _loads(recipe: Recipe, rows: Mapping[str, Span], prompt: Span) -> Iterator[tuple[str, Load]]:
    """What each system asks, on each set."""
    evaluate, task = recipe.evaluate, recipe.task
    assert evaluate is not None
    twice = 2 if isinstance(task, JudgePairwiseTask) else 1
    teacher, prompted = measured_teacher(recipe), prompted_teacher(recipe)
    for name, count in rows.items():
        answered = Span(count.value, 0, count.high) if name == "val" else count
        if teacher is not None:
            asks = steps_asked(recipe) if filled_by(recipe) == teacher else ONCE
            yield "teacher", _load(recipe, teacher, answered * asks * twice, prompt)
        for rung, asks, tokens, free in _rungs(recipe, prompt) if prompted else ():
            assert prompted is not None
            yield rung, _load(recipe, prompted, count * asks * twice, tokens, free=free)
        for other in against_names(recipe):
            if other in recipe.teachers:
                yield other, _load(recipe, other, count * twice, prompt)
        if evaluate.judge is not None and not isinstance(task, JUDGES):
            systems = _systems(recipe)
            if isinstance(task, GroundedTask):
                yield "faithfulness", _load(recipe, evaluate.judge, count * systems, prompt)
            elif isinstance(task, GenerateTask):
                both = count * (2 * systems)
                yield "win_rate", _load(recipe, evaluate.judge, both, prompt * 2)


def steps_asked(recipe: Recipe) -> Span:
    """Asks of a row whose output several fields make: from one to all of them."""
    generate = expand(recipe).generate
    fields = generate.fields.values() if generate else ()
    most = max(1, sum(isinstance(spec, AskField) for spec in fields))
    return Span((1 + most) / 2, 1, most)


def prompted_teacher(recipe: Recipe) -> str | None:
    """The teacher that climbs the ladder; None where the student's base model does."""
    assert recipe.evaluate is not None
    if objective_of(recipe) == "clm":
        return None
    if recipe.evaluate.ask is not None:
        return recipe.evaluate.ask
    student = recipe.student
    if student is not None and student.kind != "classifier":
        return None
    return measured_teacher(recipe)


def _rungs(recipe: Recipe, prompt: Span) -> Iterator[tuple[str, Span, Span, bool]]:
    """Rung, asks of a row, tokens of each ask's prompt, and whether it writes freely."""
    evaluate = recipe.evaluate
    assert evaluate is not None
    wanted = set(evaluate.baselines)
    chunk = TOKENS_PER_WORD * (Chunk().words * evaluate.retrieval.passages)
    passages = Span(chunk.value, 0, chunk.high)
    if "zero_shot" in wanted:
        yield "zero_shot", ONCE, prompt, False
    if "few_shot" in wanted:
        for count in sorted(set(evaluate.few_shot)):
            yield f"few_shot_{count}", ONCE, prompt * (count + 1), False
    if "chain_of_thought" in wanted:
        yield "chain_of_thought", ONCE, prompt, True
    if "react" in wanted:
        yield "react", ACTIONS, prompt + passages, True
    if "retrieval" in wanted:
        yield "retrieval", ONCE, prompt + passages, False
        if isinstance(recipe.task, GroundedTask):
            yield "closed_book", ONCE, prompt, False


def _systems(recipe: Recipe) -> int:
    """How many systems' answers are judged: teacher, student before and after, arms, rungs."""
    evaluate = recipe.evaluate
    assert evaluate is not None
    students = 0 if recipe.student is None else (2 + len(evaluate.compare)) * evaluate.seeds
    rungs = len(set(evaluate.baselines) - {"majority", "few_shot"})
    few = len(set(evaluate.few_shot)) if "few_shot" in evaluate.baselines else 0
    return students + rungs + few + (measured_teacher(recipe) is not None)


def _load(recipe: Recipe, teacher: str, calls: Span, prompt: Span, *, free: bool = False) -> Load:
    most = recipe.teachers[teacher].max_tokens
    low = min(SHORT_ANSWER, most)
    answer = Span(math.sqrt(low * most), 1, most)
    labels = labels_of(recipe.task)
    if labels and not free and not isinstance(recipe.task, JUDGES):
        longest = max(tokens_of(label).high for label in labels)
        answer = Span(min(most, 4), 1, min(most, longest))
    return Load(teacher, calls, prompt * calls, answer * calls)


def _rows(recipe: Recipe) -> dict[str, Span]:
    """How many rows each set has."""
    evaluate, found = recipe.evaluate, {}
    assert evaluate is not None
    if "gold" in evaluate.on and recipe.data.gold:
        count = len(_gold(recipe))
        found["gold"] = Span(count, count, count)
    accept = recipe.generate.accept if recipe.generate else None
    if accept is None and recipe.data.pool:
        accept = len(read_records(locate(recipe, recipe.data.pool)))
    if "val" in evaluate.on and recipe.split and recipe.split.val and accept:
        most = accept * recipe.split.val
        found["val"] = Span(most, 0.5 * most, 2 * most)  # whole groups do not fit exactly
    limit = evaluate.limit or math.inf
    return {
        name: Span(*(min(part, limit) for part in (span.value, span.low, span.high)))
        for name, span in found.items()
    }


def _prompt_tokens(recipe: Recipe) -> Span:
    """Tokens of one row's prompt: the mean, the shortest and the longest of some gold rows."""
    prompt = TaskPrompt.from_recipe(recipe)
    sizes = []
    for record in _gold(recipe)[:LOOKED_AT]:
        try:
            text = "\n".join(turn.content for turn in prompt.ask_messages(record))
        except DistillError:
            continue
        sizes.append(tokens_of(text))
    sizes = sizes or [tokens_of(prompt.template.text)]
    mean = sum(size.value for size in sizes) / len(sizes)
    return Span(mean, min(size.low for size in sizes), max(size.high for size in sizes))


def _gold(recipe: Recipe) -> Sequence[Mapping[str, Any]]:
    return read_records(locate(recipe, recipe.data.gold)) if recipe.data.gold else []


def _sum(one: Load | None, other: Load) -> Load:
    if one is None:
        return other
    return Load(
        one.teacher,
        one.calls + other.calls,
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
    )
