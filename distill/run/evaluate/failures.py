"""Writes a student's failures, by cluster, where reviewers and later recipes find them."""

import json
from collections.abc import Mapping
from typing import Any

from distill.evaluate.failures import AnsweredRow, failure_modes
from distill.recipe.task import ClassifyTask, JudgeAbsoluteTask, JudgePairwiseTask, Task
from distill.rows.answers import NAME, WRONG_BELOW
from distill.rows.atomic import atomic_file
from distill.rows.readers import read_records
from distill.run.context import Context

FILE = "failures.jsonl"
"""Beside `answers.jsonl`: the fields of each wrong row, with what was said and its cluster."""


def measure_failures(context: Context) -> dict[str, Any] | None:
    """`failure_modes` of report.json; None where no student answered.

    Rows of val may go to `edit_hard`; those of gold are for people only, and say so.
    """
    folder, task = context.directory.stage("evaluate"), context.recipe.task
    path = folder / NAME
    lines = [line for line in _read(path) if line["system"] == "student"]
    if not lines:
        return None
    rows = [_row(line, task) for line in lines]
    labels = isinstance(task, ClassifyTask | JudgeAbsoluteTask | JudgePairwiseTask)
    part, member = failure_modes(rows, labels=labels, seed=context.recipe.seed)
    with atomic_file(folder / FILE) as file:
        for place, cluster in sorted(member.items(), key=lambda item: (item[1], item[0])):
            line = lines[place]
            record = {
                "id": line["id"],
                **{name: value for name, value in line["fields"].items() if name != "id"},
                "set": line["set"],
                "answered": line["answered"],
                "cluster": cluster,
                "cluster_name": part["clusters"][cluster]["name"],
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
    return {**part, "file": str((folder / FILE).relative_to(context.directory.root))}


def _read(path: Any) -> list[dict[str, Any]]:
    return read_records(path) if path.is_file() and path.stat().st_size else []


def _row(line: Mapping[str, Any], task: Task) -> AnsweredRow:
    fields = line["fields"]
    return AnsweredRow(
        set=line["set"],
        id=str(line["id"]),
        input=_text(fields.get(task.input)),
        expected=_text(line["expected"]),
        answered=line["answered"],
        wrong=line["score"] < WRONG_BELOW,
        slices={
            name: value
            for name, value in fields.items()
            if isinstance(value, str) and name not in (task.input, task.output, "id")
        },
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
