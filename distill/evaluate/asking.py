"""Asks a system about rows in the way of their task: one place for evaluating and predicting."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from distill.evaluate.answers import Answered, answer_rows
from distill.evaluate.judging import judge_rows
from distill.recipe.prompts import JUDGES, TaskPrompt
from distill.recipe.task import ClassifyTask, ExtractTask
from teachers.protocol import Teacher


async def ask_task(
    teacher: Teacher,
    prompt: TaskPrompt,
    records: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int | None = None,
    in_flight: int = 16,
    constrained: bool = False,
    pattern: str | None = None,
) -> list[Answered]:
    """One answer per row, in order: a label, an object by its schema, verdicts, or free text.

    `constrained` asks judges for a verdict and nothing else. With `pattern` the system writes
    freely, and what its first group finds is the answer; judges have a parser of their own.
    Raises: AuthError and BudgetReached, which concern all rows; RecipeError for a row that the
    prompt cannot show.
    """
    task = prompt.task
    if isinstance(task, JUDGES):
        return await judge_rows(
            teacher,
            prompt,
            records,
            max_tokens=max_tokens,
            in_flight=in_flight,
            constrained=constrained,
        )
    return await answer_rows(
        teacher,
        [prompt.ask_messages(record) for record in records],
        choices=task.labels if isinstance(task, ClassifyTask) else None,
        schema=task.schema_ if isinstance(task, ExtractTask) else None,
        max_tokens=max_tokens,
        in_flight=in_flight,
        pattern=pattern,
    )


async def answer_each(
    one: Callable[[Mapping[str, Any]], Awaitable[Answered]],
    records: Sequence[Mapping[str, Any]],
    in_flight: int,
) -> list[Answered]:
    """What `one` answers on each row, in order, so many rows at a time.

    Raises: what `one` raises, after the other rows were given up.
    """
    gate = asyncio.Semaphore(in_flight)

    async def gated(record: Mapping[str, Any]) -> Answered:
        async with gate:
            return await one(record)

    tasks = [asyncio.create_task(gated(record)) for record in records]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
