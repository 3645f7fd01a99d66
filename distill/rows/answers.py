"""What systems answered on held-out rows, as evaluation leaves it for people and later recipes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.rows.atomic import atomic_file
from distill.rows.readers import read_records

NAME = "answers.jsonl"
WRONG_BELOW = 0.5
"""An answer that scores less counts as wrong: labels and objects score 0 or 1, texts ROUGE-L."""


def write_answers(folder: Path, answers: Iterable[Mapping[str, Any]]) -> None:
    """Writes a line per set, system and row: {set, system, id, fields, expected, answered, score}.

    Raises: RunError when the folder cannot be written.
    """
    with atomic_file(folder / NAME) as file:
        for line in answers:
            file.write(json.dumps(dict(line), ensure_ascii=False, allow_nan=False) + "\n")


def read_failures(run: Path) -> list[dict[str, Any]]:
    """The rows of a run that its student got wrong: their fields, with `answered` and `id`.

    Gold is left out: it is never in a prompt.

    Raises: DataError when the run has recorded no answers, or none that was wrong.
    """
    found = sorted(run.glob(f"stages/*-evaluate/{NAME}"))
    if not found:
        fix = "Run it with `evaluate: {on: [val]}` first."
        raise _error(run, "this run has recorded no answers of a student", fix)
    lines = [line for line in read_records(found[-1]) if line["system"] == "student"]
    held_out = [line for line in lines if line["set"] != "gold"]
    if not held_out:
        fix = "Add val to evaluate.on: gold is never in a prompt."
        raise _error(run, "this run has measured its student on gold only", fix)
    wrong = [line for line in held_out if line["score"] < WRONG_BELOW]
    if not wrong:
        found_ = f"its student got all {len(held_out)} rows of val right"
        raise _error(run, found_, "There is nothing to learn from here.")
    return [{**line["fields"], "answered": line["answered"], "id": line["id"]} for line in wrong]


def _error(run: Path, found: str, fix: str) -> DataError:
    problem = Problem(found, file=str(run), fix=fix)
    return DataError(str(problem), [problem])
