"""Rows that were judged by people: one answer with a score, or two with a winner.

Readers for our own shape and those of PandaLM, Prometheus, LLMBar, Auto-J, JudgeLM, JudgeBench,
MT-Bench, AlpacaEval and RewardBench: they differ in the names of their columns and little else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from distill.errors import DataError, Problem
from distill.judge.labels import (
    AUTO_J_NUMBERS,
    NUMBERS,
    Unreadable,
    Winner,
    majority,
    read_score,
    read_winner,
)
from distill.rows.readers import Numbered, read_numbered

Kind = Literal["absolute", "pairwise"]
Value = Winner | float

INSTRUCTIONS = (
    "instruction", "question", "prompt", "query", "orig_instruction", "question_body", "usr_msg",
    "input", "source", "document", "context",
)  # fmt: skip
FIRST = (
    "a", "response1", "response_1", "response 1", "output_1", "response_a", "response_A", "answer1",
    "answer_1", "answer_a", "output_a", "answer1_body", "completion_a", "conversation_a", "chosen",
)  # fmt: skip
SECOND = (
    "b", "response2", "response_2", "response 2", "output_2", "response_b", "response_B", "answer2",
    "answer_2", "answer_b", "output_b", "answer2_body", "completion_b", "conversation_b",
    "rejected",
)  # fmt: skip
RESPONSES = ("response", "orig_response", "answer", "output", "summary", "completion", "text")
WINNERS = ("winner", "label", "preference", "gold", "verdict", "human_winner")
SCORES = ("score", "human_score", "rating", "orig_score", "gold", "label", "human")
IDS = ("id", "idx", "question_id", "pair_id", "pairID", "uid", "key", "example_id")
SLICES = ("slice", "category", "subset", "scenario", "domain", "capability")
ANNOTATORS = re.compile(r"(annotator|rater|worker|human)[ _-]?\d+", re.IGNORECASE)
ROLES = ("instruction", "a", "b", "response", "winner", "score")


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """One row with what people said of it."""

    id: str
    """The file's own, else the place in the file, from 0."""
    instruction: str
    answers: tuple[Any, ...]
    """One answer (absolute) or two (pairwise), as the file holds them."""
    gold: Value | None
    """The majority of the ratings; None where there is none."""
    ratings: Mapping[str, Value | None]
    slices: Mapping[str, str]
    fields: Mapping[str, Any]
    """The whole record."""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class JudgeData:
    """A file of such rows, all of one kind."""

    kind: Kind
    rows: Sequence[JudgeRow]
    mapping: Mapping[str, str]
    """Role -> column."""
    gold_columns: Sequence[str]
    numbers: Mapping[int, Winner] = field(default_factory=lambda: NUMBERS)
    """What numeric winners mean in this file."""

    def read(self, value: Any) -> Value | None:
        """A verdict in this file's own words.

        Raises: Unreadable.
        """
        return read_winner(value, self.numbers) if self.kind == "pairwise" else read_score(value)


def read_judge_data(
    path: Path | str,
    *,
    mapping: Mapping[str, str] | None = None,
    gold_columns: Sequence[str] = (),
    slices: Sequence[str] = (),
) -> JudgeData:
    """Reads a data file, guessing the columns that are not named.

    Args:
        path: Any format of `distill.rows.readers`.
        mapping: Role (instruction, a, b, response, winner, score) -> column.
        gold_columns: Columns of people's verdicts; several mean their majority.
        slices: Columns to report apart; absent: the usual names.

    Raises: DataError with every row that cannot be read.
    """
    path = Path(path)
    records = read_numbered(path)
    columns = list(dict.fromkeys(name for record in records for name in record.fields))
    roles = _roles(path, columns, dict(mapping or {}))
    kind: Kind = "pairwise" if "a" in roles else "absolute"
    gold = list(gold_columns) or _gold_columns(columns, roles, kind)
    _require(path, columns, [*roles.values(), *gold, *slices])
    numbers = AUTO_J_NUMBERS if "response 1" in columns else NUMBERS
    shell = JudgeData(kind, (), roles, gold, numbers)
    shown = list(slices) or [name for name in SLICES if name in columns]
    rows, problems, taken = [], [], set[str]()
    for place, record in enumerate(records):
        try:
            row = _row(shell, place, record, shown)
        except Unreadable as error:
            problems.append(Problem(str(error), str(path), record.line, allowed=_allowed(kind)))
            continue
        if row.id in taken:
            problems.append(Problem(f"the id {row.id!r} stands twice", str(path), record.line))
        taken.add(row.id)
        rows.append(row)
    if problems:
        raise DataError(str(problems[0]), problems)
    return JudgeData(kind, rows, roles, gold, numbers)


def _roles(path: Path, columns: Sequence[str], given: dict[str, str]) -> dict[str, str]:
    if odd := sorted(set(given) - set(ROLES)):
        problem = Problem(f"--map knows no {odd[0]!r}", str(path), allowed=", ".join(ROLES))
        raise DataError(str(problem), [problem])
    roles = dict(given)
    first = next((at for at, name in enumerate(FIRST) if name in columns), None)
    if "response" not in roles and "a" not in roles and first is not None:
        roles["a"] = FIRST[first]
    if "a" in roles and "b" not in roles and roles["a"] in FIRST:
        roles["b"] = SECOND[FIRST.index(roles["a"])]
    if "a" not in roles and "response" not in roles:
        found = next((name for name in RESPONSES if name in columns), None)
        if found is None:
            problem = Problem(
                f"there is neither a response nor a pair of them among {', '.join(columns)}",
                str(path),
                allowed="a and b, or response",
                fix="Name them: --map a=COLUMN,b=COLUMN or --map response=COLUMN",
            )
            raise DataError(str(problem), [problem])
        roles["response"] = found
    if "a" in roles and "b" not in roles:
        problem = Problem("--map names a and no b", str(path), fix="Add b=COLUMN.")
        raise DataError(str(problem), [problem])
    answers = {roles.get(role) for role in ("a", "b", "response")}
    if "instruction" not in roles:
        free = [n for n in INSTRUCTIONS if n in columns and n not in answers]
        roles |= {"instruction": free[0]} if free else {}
    return roles


def _gold_columns(columns: Sequence[str], roles: Mapping[str, str], kind: Kind) -> list[str]:
    role = "winner" if kind == "pairwise" else "score"
    if role in roles:
        return [roles[role]]
    if annotators := [name for name in columns if ANNOTATORS.fullmatch(name)]:
        return annotators
    usual = WINNERS if kind == "pairwise" else SCORES
    used = set(roles.values())
    return [name for name in usual if name in columns and name not in used][:1]


def _require(path: Path, columns: Sequence[str], wanted: Sequence[str]) -> None:
    problems = [
        Problem(f"there is no column {name!r}", str(path), allowed=", ".join(columns))
        for name in dict.fromkeys(wanted)
        if name not in columns
    ]
    if problems:
        raise DataError(str(problems[0]), problems)


def _row(data: JudgeData, place: int, record: Numbered, slices: Sequence[str]) -> JudgeRow:
    fields, roles = record.fields, data.mapping
    ratings = {name: data.read(fields.get(name)) for name in data.gold_columns}
    gold: Value | None = majority(list(ratings.values()))
    answers = tuple(fields.get(roles[role]) for role in ("a", "b", "response") if role in roles)
    if not ratings and roles.get("a") == "chosen":
        gold = "a"
    names = [str(fields[name]) for name in IDS if fields.get(name) is not None]
    own = names[0] if names else str(place)
    return JudgeRow(
        id=own,
        instruction=_instruction(fields, roles),
        answers=answers,
        gold=gold,
        ratings=ratings,
        slices={name: str(fields[name]) for name in slices if fields.get(name) is not None},
        fields=fields,
        line=record.line,
    )


def _instruction(fields: Mapping[str, Any], roles: Mapping[str, str]) -> str:
    """The instruction, with PandaLM's separate `input` below it."""
    name = roles.get("instruction")
    if name is None:
        return ""
    text = "" if fields.get(name) is None else str(fields[name])
    extra = fields.get("input") if name == "instruction" else None
    return f"{text}\n\n{extra}" if extra and "input" not in roles.values() else text


def _allowed(kind: Kind) -> str:
    return "a, b, tie, 1, 2, 0 or nothing" if kind == "pairwise" else "a number or nothing"
