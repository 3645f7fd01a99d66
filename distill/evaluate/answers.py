"""Asks one system about many rows and keeps the order. A failure stays a failure, never a guess."""

import asyncio
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distill.judge.verdicts import Verdict
from teachers.check import check_answer
from teachers.errors import AuthError, TeacherError
from teachers.protocol import Answer, Ask, Message, Teacher


@dataclass(frozen=True, slots=True)
class Answered:
    """What one system said about one row."""

    text: str | None
    """None: no answer, which every metric counts as wrong."""
    p: float | None = None
    """Probability of the answer among the choices, where the system tells it."""
    choice_logp: Mapping[str, float] | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    failed: str | None = None
    """How it failed ("parse", "server", "truncated" ...); None when there is an answer."""
    stored: bool = False
    """The answer came from the store: its cost and time say nothing about the system."""
    wrote: str | None = None
    """All that was written, where the answer is a part of it."""
    verdicts: tuple[Verdict, ...] = ()
    """Of a judge: its readings of the row, one per order."""


async def answer_rows(
    teacher: Teacher,
    prompts: Sequence[tuple[Message, ...]],
    *,
    choices: Sequence[str] | None = None,
    schema: Mapping[str, Any] | None = None,
    max_tokens: int | None = None,
    in_flight: int = 16,
    pattern: str | None = None,
) -> list[Answered]:
    """One answer per prompt, in the order of the prompts, with at most `in_flight` asks open.

    Free text that stops at the token limit is taken as it is (it is compared as far as it goes);
    a choice or an object that stops there is a failure. For a local teacher `in_flight` should be
    at least its batch size. With `pattern` the system writes freely, and what the pattern's first
    group finds in that is the answer, held against choices and schema as ever.

    Raises: AuthError and BudgetReached, which concern all rows; other TeacherErrors concern one.
    """
    answers: dict[int, Answered] = {}
    free = choices is None and schema is None
    waiting = iter(enumerate(prompts))

    async def work(waiting: Iterator[tuple[int, tuple[Message, ...]]]) -> None:
        for place, messages in waiting:
            ask = Ask(
                messages=messages,
                choices=tuple(choices) if choices is not None else None,
                schema=schema,
                max_tokens=max_tokens,
                allow_truncated=free,
            )
            answers[place] = await _answer(teacher, ask, pattern)

    workers = [asyncio.create_task(work(waiting)) for _ in range(min(in_flight, len(prompts)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [answers[place] for place in range(len(prompts))]


async def _answer(teacher: Teacher, ask: Ask, pattern: str | None) -> Answered:
    try:
        if pattern is not None:
            freely = replace(ask, choices=None, schema=None, allow_truncated=True)
            return _found(await teacher.ask(freely), ask, pattern)
        return _answered(await teacher.ask(ask), ask.choices)
    except AuthError:
        raise
    except TeacherError as error:
        return Answered(text=None, failed=error.kind)


def _found(answer: Answer, ask: Ask, pattern: str) -> Answered:
    """The part of what was written that is the answer; none where the pattern finds nothing."""
    whole = Answered(
        text=None,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        cost_usd=answer.cost_usd,
        stored=answer.stored,
        wrote=answer.text,
    )
    found = re.search(pattern, answer.text)
    if found is None:
        return replace(whole, failed="truncated" if answer.finish == "length" else "parse")
    try:
        checked = check_answer(ask, replace(answer, text=(found[1] or "").strip()))
    except TeacherError as error:
        return replace(whole, failed=error.kind)
    return replace(whole, text=checked.text)


def _answered(answer: Answer, choices: tuple[str, ...] | None) -> Answered:
    """An adapter promises one of the choices; one that breaks the promise has not answered."""
    allowed = choices is None or answer.text in choices
    logp = (answer.choice_logp or {}).get(answer.text)
    return Answered(
        text=answer.text if allowed else None,
        p=math.exp(logp) if allowed and logp is not None else None,
        choice_logp=answer.choice_logp,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        cost_usd=answer.cost_usd,
        failed=None if allowed else "parse",
        stored=answer.stored,
    )
