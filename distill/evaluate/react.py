"""ReAct as a baseline (Yao et al. 2022, arXiv:2210.03629): thoughts, actions, what came back."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from distill.evaluate.answers import Answered
from distill.evaluate.asking import answer_each
from distill.recipe.prompts import TaskPrompt
from distill.recipe.strategies.react import step_text
from distill.recipe.task import ClassifyTask, ExtractTask
from teachers.check import check_answer
from teachers.errors import AuthError, TeacherError
from teachers.protocol import Answer, Ask, Message, Teacher

FINISH = re.compile(r"finish\[(.*)\]", re.DOTALL)
END = "\nObservation:"
"""A model that goes on here makes up what its action gave back."""
Act = Callable[[str, Mapping[str, Any]], Awaitable[str]]
"""What the last action of a text gives back, for a row."""


async def react_rows(
    teacher: Teacher,
    prompt: TaskPrompt,
    records: Sequence[Mapping[str, Any]],
    act: Act,
    tools: str,
    *,
    steps: int,
    max_tokens: int | None = None,
    in_flight: int = 16,
) -> list[Answered]:
    """One answer per row, in order: what stands in `finish[...]` of the last step.

    Args:
        teacher: Who is asked.
        prompt: The task's own.
        records: The rows.
        act: Carries out the action that a step ends with.
        tools: What the actions are, as the model is told.
        steps: Most steps of one row; the last one must finish.
        max_tokens: Of one step.
        in_flight: Rows that are worked on at a time.

    Raises: AuthError and BudgetReached, which concern all rows.
    """

    async def one(record: Mapping[str, Any]) -> Answered:
        return await _row(teacher, prompt, record, act, tools, steps, max_tokens)

    return await answer_each(one, records, in_flight)


async def _row(
    teacher: Teacher,
    prompt: TaskPrompt,
    record: Mapping[str, Any],
    act: Act,
    tools: str,
    steps: int,
    max_tokens: int | None,
) -> Answered:
    *before, question = prompt.ask_messages(record)
    trace, said, failed = "", [], "parse"
    for turn in range(1, steps + 1):
        text = step_text(question.content, tools, trace, last=turn == steps)
        ask = Ask((*before, Message("user", text)), max_tokens=max_tokens, allow_truncated=True)
        try:
            answer = await teacher.ask(ask)
            said.append(answer)
            step = answer.text.split(END)[0].strip()
            trace += f"{step}\n"
            if FINISH.search(step):
                break
            seen = await act(step, record)
        except AuthError:
            raise
        except TeacherError as error:
            failed = error.kind
            break
        trace += f"Observation: {seen}\n" if seen else ""
    return _finished(prompt, trace, said, failed)


def _finished(prompt: TaskPrompt, trace: str, said: Sequence[Answer], failed: str) -> Answered:
    found = FINISH.search(trace)
    text = found[1].strip() if found else None
    task = prompt.task
    if text is not None:
        ask = Ask(
            (),
            choices=tuple(task.labels) if isinstance(task, ClassifyTask) else None,
            schema=task.schema_ if isinstance(task, ExtractTask) else None,
        )
        try:
            text = check_answer(ask, Answer(text, "stop", said[-1].usage, said[-1].model)).text
        except TeacherError as error:
            text, failed = None, error.kind
    known = [one.cost_usd for one in said if one.cost_usd is not None]
    return Answered(
        text=text,
        input_tokens=sum(one.usage.input_tokens for one in said),
        output_tokens=sum(one.usage.output_tokens for one in said),
        cost_usd=sum(known) if said and len(known) == len(said) else None,
        failed=None if text is not None else failed,
        stored=bool(said) and all(one.stored for one in said),
        wrote=trace,
    )
