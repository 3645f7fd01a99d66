"""Rows that were judged by people: one answer with a score, or two with a winner.

Readers for our own shape and those of PandaLM, Prometheus, LLMBar, Auto-J, JudgeLM, JudgeBench,
MT-Bench, AlpacaEval and RewardBench: they differ in the names of their columns and little else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.judge.columns import (
    AUTO_J,
    IDS,
    INSTRUCTIONS,
    RESPONSES,
    SLICES,
    Kind,
    find_column,
    find_gold,
    find_pair,
    twin_of,
)
from distill.judge.labels import (
    AUTO_J_NUMBERS,
    NUMBERS,
    SWAPPED,
    Unreadable,
    Winner,
    is_missing,
    majority,
    number_of,
    read_score,
    read_winner,
)
from distill.judge.prometheus import unfolded
from distill.judge.written import written_verdict
from distill.rows.readers import Numbered, read_numbered

Value = Winner | float

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
    notes: Sequence[str] = ()
    """What was read in a way that somebody may not have meant."""

    def read(self, value: Any) -> Value | None:
        """A verdict in this file's own words.

        Raises: Unreadable.
        """
        return read_winner(value, self.numbers) if self.kind == "pairwise" else read_score(value)

    def read_written(self, text: Any, order: str = "ab") -> Value | None:
        """A verdict in a text that a judge wrote about answers shown in this order; None without.

        It speaks of places there, so with "ba" the other answer is meant.
        """
        found = written_verdict(text, self.kind) if isinstance(text, str) else None
        return SWAPPED[found] if order == "ba" and isinstance(found, str) else found


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
    records = [Numbered(line, unfolded(fields)) for line, fields in read_numbered(path)]
    columns = list(dict.fromkeys(name for record in records for name in record.fields))
    roles = _roles(path, columns, dict(mapping or {}))
    kind: Kind = "pairwise" if "a" in roles else "absolute"
    gold = list(gold_columns) or find_gold(columns, roles, kind)
    _require(path, columns, [*roles.values(), *gold, *slices])
    if not gold and roles.get("a") != "chosen":
        raise _no_gold(path, columns, kind)
    numbers = AUTO_J_NUMBERS if set(AUTO_J) <= set(columns) else NUMBERS
    shell = JudgeData(kind, (), roles, gold, numbers, _notes(records, gold, kind, numbers))
    shown = list(slices) or [name for name in SLICES if name in columns]
    named = _id_column(records)
    rows, problems, taken = [], [], set[str]()
    for place, record in enumerate(records):
        try:
            row = _row(shell, _id_of(record, named, place), record, shown)
        except Unreadable as error:
            problems.append(Problem(str(error), str(path), record.line, allowed=_allowed(kind)))
            continue
        if row.id in taken:
            problems.append(Problem(f"the id {row.id!r} stands twice", str(path), record.line))
        taken.add(row.id)
        rows.append(row)
    if problems:
        raise DataError(str(problems[0]), problems)
    return replace(shell, rows=rows)


def _roles(path: Path, columns: Sequence[str], given: dict[str, str]) -> dict[str, str]:
    if odd := sorted(set(given) - set(ROLES)):
        problem = Problem(f"--map knows no {odd[0]!r}", str(path), allowed=", ".join(ROLES))
        raise DataError(str(problem), [problem])
    roles = dict(given)
    if "response" not in roles and "a" not in roles and (pair := find_pair(columns)):
        roles["a"], roles["b"] = pair
    if "a" in roles and "b" not in roles and (twin := twin_of(roles["a"], columns)):
        roles["b"] = twin
    if "a" not in roles and "response" not in roles:
        found = find_column(columns, RESPONSES)
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
        found = find_column([name for name in columns if name not in answers], INSTRUCTIONS)
        roles |= {"instruction": found} if found else {}
    return roles


def _no_gold(path: Path, columns: Sequence[str], kind: Kind) -> DataError:
    role = "winner" if kind == "pairwise" else "score"
    problem = Problem(
        f"no column of people's verdicts was recognised among {', '.join(columns)}",
        str(path),
        fix=f"Name it: --map {role}=COLUMN or --gold-columns A,B,C",
    )
    return DataError(str(problem), [problem])


def _id_column(records: Sequence[Numbered]) -> str | None:
    """The first usual name that tells all rows apart; `id` is one even where it does not."""
    for name in IDS:
        values = [str(r.fields[name]) for r in records if r.fields.get(name) is not None]
        if values and (name == "id" or len(set(values)) == len(records)):
            return name
    return None


def _id_of(record: Numbered, name: str | None, place: int) -> str:
    value = None if name is None else record.fields.get(name)
    return str(place) if value is None else str(value)


def _notes(
    records: Sequence[Numbered],
    gold: Sequence[str],
    kind: Kind,
    numbers: Mapping[int, Winner],
) -> tuple[str, ...]:
    """Winners that are all 0 and 1 may count from 0, which nothing in them tells."""
    cells = [record.fields.get(name) for record in records for name in gold]
    values = {number_of(cell) for cell in cells if not is_missing(cell)}
    if kind != "pairwise" or numbers is not NUMBERS or values != {0.0, 1.0}:
        return ()
    return (
        f"every winner in {', '.join(gold)} is 0 or 1, read as tie and a; "
        "where 0 means the first answer and 1 the second, write a and b",
    )


def _require(path: Path, columns: Sequence[str], wanted: Sequence[str]) -> None:
    problems = [
        Problem(f"there is no column {name!r}", str(path), allowed=", ".join(columns))
        for name in dict.fromkeys(wanted)
        if name not in columns
    ]
    if problems:
        raise DataError(str(problems[0]), problems)


def _row(data: JudgeData, own: str, record: Numbered, slices: Sequence[str]) -> JudgeRow:
    fields, roles = record.fields, data.mapping
    ratings = {name: data.read(fields.get(name)) for name in data.gold_columns}
    gold: Value | None = majority(list(ratings.values()))
    answers = tuple(fields.get(roles[role]) for role in ("a", "b", "response") if role in roles)
    if not ratings and roles.get("a") == "chosen":
        gold = "a"
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
