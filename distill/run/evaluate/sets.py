"""Held-out rows and what each should be answered with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.evaluate.judging import gold_value, verdict_text
from distill.recipe.prompts import JUDGES, TaskPrompt
from distill.recipe.task import JudgeAbsoluteTask, JudgePairwiseTask, Task
from distill.rows.dataset import read_dataset
from distill.rows.identity import row_ids
from distill.run.context import Context
from distill.run.rows.steps import gold_records
from teachers.protocol import Message

Prompts = list[tuple[Message, ...]]
Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class MeasuredSet:
    """One set of held-out rows."""

    name: str
    ids: Sequence[str]
    """The rows' own, else of their content: they stay when rows are added or moved."""
    records: Records
    expected: Sequence[Any]
    """The output of every row; verdicts as the task's scale writes them."""
    prompts: Prompts
    left_out: int = 0
    """Rows on which nobody has a verdict."""


def measured_sets(context: Context) -> list[MeasuredSet]:
    """The sets that the recipe measures on, those without rows left out.

    Raises: DataError for a verdict of people that is none.
    """
    recipe = context.recipe
    assert recipe.evaluate is not None
    prompt = TaskPrompt.from_recipe(recipe)
    records: dict[str, Records] = {"gold": gold_records(context)}
    ids = {"gold": row_ids(records["gold"])}
    if "val" in recipe.evaluate.on and (context.directory.dataset / "val.jsonl").is_file():
        rows = read_dataset(context.directory.dataset, "val")
        ids["val"] = [row.id for row in rows]
        records["val"] = [{"text": row.text} if row.text else row.fields for row in rows]
    sets = [
        _set(prompt, name, ids.get(name, ()), list(records.get(name, ()))[: recipe.evaluate.limit])
        for name in dict.fromkeys(recipe.evaluate.on)
    ]
    return [part for part in sets if part.records]


def _set(prompt: TaskPrompt, name: str, ids: Sequence[str], records: Records) -> MeasuredSet:
    expected = [expected_of(prompt.task, row) for row in records]
    judged = isinstance(prompt.task, JUDGES)
    kept = [at for at, value in enumerate(expected) if not (judged and value is None)]
    rows = [records[at] for at in kept]
    return MeasuredSet(
        name,
        [ids[at] for at in kept],
        rows,
        [expected[at] for at in kept],
        [prompt.ask_messages(row) for row in rows],
        len(records) - len(kept),
    )


def expected_of(task: Task, record: Mapping[str, Any]) -> Any:
    """What a row should be answered with; None where a judge's row has no verdict of people."""
    value = record[task.output]
    if isinstance(task, JudgeAbsoluteTask | JudgePairwiseTask):
        return verdict_text(task, gold_value(task, value))
    return value
