"""Predicting new rows adds answer, parsed and p."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from distill.evaluate.predict import predict_rows
from distill.recipe.prompts import TaskPrompt

CLASSIFY = {"kind": "classify", "labels": ["a", "b"], "input": "text", "output": "label"}


def test_labels_come_with_their_probability(table_teacher: Callable[..., Any]) -> None:
    """Every record is kept as it is, in order; a row that failed has no answer and says why."""
    prompt = TaskPrompt.from_dict({"task": CLASSIFY, "template": "{{ input }}"})
    teacher = table_teacher({"one": "a"}, logp={"a": math.log(0.75), "b": math.log(0.25)})
    records = [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}]
    found = asyncio.run(predict_rows(teacher, prompt, records))
    assert found == [
        {"id": 1, "text": "one", "answer": "a", "parsed": True, "p": 0.75},
        {"id": 2, "text": "two", "answer": None, "parsed": False, "p": None, "failed": "server"},
    ]
    assert teacher.asked[0].choices == ("a", "b")


def test_objects_are_given_as_objects(table_teacher: Callable[..., Any]) -> None:
    """An extract task's answer is the parsed object."""
    task = {"kind": "extract", "schema": {"type": "object"}, "input": "text", "output": "out"}
    prompt = TaskPrompt.from_dict({"task": task, "template": "{{ input }}"})
    found = asyncio.run(predict_rows(table_teacher({"x": '{"n": 1}'}), prompt, [{"text": "x"}]))
    assert found[0]["answer"] == {"n": 1}
    assert found[0]["parsed"] is True


def test_reasoning_stands_beside_the_answer(table_teacher: Callable[..., Any]) -> None:
    """A student that reasons first: the label is the answer, the whole text another column."""
    task = {**CLASSIFY, "answer_pattern": r"(?s).*Answer:(.*)"}
    prompt = TaskPrompt.from_dict({"task": task, "template": "{{ input }}"})
    teacher = table_teacher({"x": "As it is.\nAnswer: b", "y": "As it is."})
    found = asyncio.run(predict_rows(teacher, prompt, [{"text": "x"}, {"text": "y"}]))
    assert [(row["answer"], row["parsed"], row["wrote"]) for row in found] == [
        ("b", True, "As it is.\nAnswer: b"),
        (None, False, "As it is."),
    ]
    assert found[1]["failed"] == "parse"
