"""Answers new rows with an exported student: asked as in `evaluate`, so as accurate as there."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.evaluate.answers import Answered
from distill.evaluate.asking import ask_task
from distill.evaluate.metrics import read_json
from distill.recipe.prompts import TaskPrompt
from distill.recipe.task import ExtractTask
from teachers.protocol import Teacher


async def predict_rows(
    teacher: Teacher,
    task_prompt: TaskPrompt,
    records: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int | None = None,
    in_flight: int = 16,
) -> list[dict[str, Any]]:
    """Every record, in order, with `answer`, `parsed` and `p` added.

    `answer` is the label, the object, the verdict or the text, null where there is none; `parsed`
    says whether it is one of the labels, or fits the schema; `p` is its probability where the
    system tells it. A row that could not be answered also gets `failed`, the reason; where the
    answer is a part of what the student writes, as a judge's verdict is, all of it stands in
    `wrote`.
    """
    answers = await ask_task(
        teacher,
        task_prompt,
        records,
        max_tokens=max_tokens,
        in_flight=in_flight,
        pattern=task_prompt.task.answer_pattern,
    )
    objects = isinstance(task_prompt.task, ExtractTask)
    return [
        {**record, **_predicted(answer, objects)}
        for record, answer in zip(records, answers, strict=True)
    ]


def _predicted(answered: Answered, objects: bool) -> dict[str, Any]:
    answer: Any = answered.text
    parsed = answer is not None
    if objects and parsed:
        value, parsed = read_json(answer)
        answer = value if parsed else answer
    found = {"answer": answer, "parsed": parsed, "p": answered.p}
    if answered.wrote is not None:
        found["wrote"] = answered.wrote
    return {**found, "failed": answered.failed} if answered.failed else found
