"""Asking about many rows: order, failures and what concerns all rows."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from distill.evaluate.answers import Answered, answer_rows
from teachers.errors import AuthError, BudgetReached
from teachers.protocol import Answer, Ask, Usage, user


def test_order_is_kept_whatever_comes_back_first() -> None:
    """Answers stand in the order of the prompts, and never more asks are open than allowed."""
    state = {"open": 0, "most": 0}

    class Slow:
        name = "slow"

        async def ask(self, ask: Ask) -> Answer:
            state["open"] += 1
            state["most"] = max(state["most"], state["open"])
            place = int(ask.messages[-1].content)
            await asyncio.sleep(0.002 * (10 - place))
            state["open"] -= 1
            return Answer(str(place), "stop", Usage(1, 1), "m")

        async def close(self) -> None:
            pass

    prompts = [user(str(place)) for place in range(10)]
    found = asyncio.run(answer_rows(Slow(), prompts, in_flight=4))
    assert [answer.text for answer in found] == [str(place) for place in range(10)]
    assert state["most"] == 4


def test_a_failure_is_no_answer(table_teacher: Callable[..., Any]) -> None:
    """A failing ask, and an answer outside the choices, give no text and say how they failed."""
    teacher = table_teacher({"x": "bug", "y": "beetle"})
    found = asyncio.run(
        answer_rows(teacher, [user("x"), user("y"), user("z")], choices=["bug", "other"])
    )
    assert [(a.text, a.failed) for a in found] == [("bug", None), (None, "parse"), (None, "server")]


def test_the_probability_is_that_of_the_answer(table_teacher: Callable[..., Any]) -> None:
    """With choice probabilities p is exp of the answer's, tokens and cost are kept."""
    teacher = table_teacher({"x": "bug"}, logp={"bug": math.log(0.8), "other": math.log(0.2)})
    [found] = asyncio.run(answer_rows(teacher, [user("x")], choices=["bug", "other"]))
    assert found.p == pytest.approx(0.8)
    assert (found.input_tokens, found.output_tokens, found.cost_usd) == (5, 1, 0.001)


def test_only_free_text_may_be_cut(table_teacher: Callable[..., Any]) -> None:
    """A truncated story is taken; a truncated choice or object is not."""
    teacher = table_teacher({"x": "{}"})
    asyncio.run(answer_rows(teacher, [user("x")], max_tokens=9))
    asyncio.run(answer_rows(teacher, [user("x")], schema={"type": "object"}))
    assert [ask.allow_truncated for ask in teacher.asked] == [True, False]
    assert teacher.asked[0].max_tokens == 9


@pytest.mark.parametrize("error", [AuthError("auth", "no key"), BudgetReached("usd", "cap")])
def test_what_concerns_all_rows_stops_at_once(error: Exception) -> None:
    """A refused key or a reached cap is raised, and no further ask is sent."""
    asked: list[Ask] = []

    class Refusing:
        name = "refusing"

        async def ask(self, ask: Ask) -> Answer:
            asked.append(ask)
            raise error

        async def close(self) -> None:
            pass

    with pytest.raises(type(error)):
        asyncio.run(answer_rows(Refusing(), [user(str(i)) for i in range(50)], in_flight=2))
    assert len(asked) <= 2


def test_no_rows_need_no_answers(table_teacher: Callable[..., Any]) -> None:
    """An empty set gives an empty list."""
    found: list[Answered] = asyncio.run(answer_rows(table_teacher({}), []))
    assert found == []


WORKED = r"(?s).*Answer:(.*)"


@pytest.mark.parametrize(
    ("asked", "wrote", "text", "failed"),
    [
        ({"choices": ["bug", "other"]}, "It crashes. Answer: no.\nAnswer: bug", "bug", None),
        ({"choices": ["bug", "other"]}, "A bug, I think.", None, "parse"),
        ({"choices": ["bug", "other"]}, "Answer: a beetle", None, "parse"),
        ({"schema": {"type": "object"}}, 'Two.\nAnswer: {"n": 2}', '{"n": 2}', None),
        ({"schema": {"type": "object"}}, "Two.\nAnswer: 2", None, "schema"),
        ({}, "Rivers flow.\nAnswer: by the river\n", "by the river", None),
        ({}, "Rivers flow.\nAnswer:", None, "empty"),
    ],
)
def test_the_answer_is_what_the_pattern_finds(
    table_teacher: Callable[..., Any], asked: Any, wrote: str, text: str | None, failed: str | None
) -> None:
    """What stands behind the last mark is held against choices and schema; the whole is kept."""
    teacher = table_teacher({"x": wrote})
    [found] = asyncio.run(answer_rows(teacher, [user("x")], pattern=WORKED, **asked))
    assert (found.text, found.failed, found.wrote) == (text, failed, wrote)
    assert found.output_tokens == 1
    # The reasoning is no choice and no object, so the system is not held to either.
    assert (teacher.asked[0].choices, teacher.asked[0].schema) == (None, None)
