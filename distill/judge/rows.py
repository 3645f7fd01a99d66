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
    ONE_HOT,
    RESPONSES,
    SLICES,
    Kind,
    find_column,
    find_gold,
    find_pair,
    find_writers,
    is_chosen,
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
from distill.judge.paths import cell, example, places
from distill.judge.prometheus import unfolded
from distill.judge.raters import by_pair
from distill.judge.written import written_verdict
from distill.rows.readers import Numbered, read_numbered

Value = Winner | float

ROLES = (
    "id", "instruction", "a", "b", "response", "winner", "score", "rater", "system", "system_a",
    "system_b",
)  # fmt: skip
"""What a column of the data may be."""
VERDICT_ROLES = (
    "verdict_id", "verdict", "verdict_ba", "raw", "raw_ba", "score_a", "score_b", "order", "p",
    "truncated",
)  # fmt: skip
"""What a column of recorded verdicts may be: `distill.judge.recorded`."""


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
    words: Mapping[str, Value] = field(default_factory=dict)
    """Words of this file's own, in small letters, and what they mean."""
    writers: tuple[str, str] | None = None
    """The columns of who wrote each answer: their names stand for the answers too."""
    allowed: Sequence[Value] = ()
    """All that a judge may say, where the task tells it."""
    id_column: str | None = None
    """Where the ids were found; None where a row's place is its id."""

    def read(self, value: Any, fields: Mapping[str, Any] | None = None) -> Value | None:
        """A verdict in this file's own words; `fields` is the row, where it may name a writer.

        Raises: Unreadable.
        """
        said = str(value).strip().casefold()
        if said in self.words:
            return self.words[said]
        if self.kind == "absolute":
            return read_score(value)
        try:
            return read_winner(value, self.numbers)
        except Unreadable:
            wrote = [fields.get(name) for name in self.writers or ()] if fields else []
            if not isinstance(value, str) or [value == name for name in wrote].count(True) != 1:
                raise
            return "a" if value == wrote[0] else "b"

    def lenient(self, value: Any, fields: Mapping[str, Any] | None = None) -> Value | None:
        """A verdict as a judge gave it, in a word or at the end of a text; None where none is."""
        try:
            return self.read(value, fields)
        except Unreadable:
            return written_verdict(value, self.kind) if isinstance(value, str) else None


def read_judge_data(
    path: Path | str,
    *,
    mapping: Mapping[str, str] | None = None,
    gold_columns: Sequence[str] = (),
    slices: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> JudgeData:
    """Reads a data file, guessing the columns that are not named.

    Every column may be a path into the record, such as `annotations.0.winner`.

    Args:
        path: Any format of `distill.rows.readers`.
        mapping: Role (`ROLES`) -> column; those of recorded verdicts are left to
            `distill.judge.recorded`.
        gold_columns: Columns of people's verdicts; several mean their majority.
        slices: Columns to report apart; absent: the usual names.
        labels: What verdicts are called in this file -> a, b, tie or a score.

    Raises: DataError with every row that cannot be read.
    """
    path = Path(path)
    records = [Numbered(line, _whole(fields)) for line, fields in read_numbered(path)]
    columns = list(dict.fromkeys(name for record in records for name in record.fields))
    roles = _roles(path, columns, dict(mapping or {}))
    kind: Kind = "pairwise" if "a" in roles else "absolute"
    gold = list(gold_columns) or find_gold(columns, roles, kind)
    require_places(path, [r.fields for r in records], [*roles.values(), *gold, *slices])
    if not gold and not is_chosen(roles.get("a")):
        raise _no_gold(path, records, columns, kind)
    numbers = AUTO_J_NUMBERS if set(AUTO_J) <= set(columns) else NUMBERS
    words = _words(kind, labels or {})
    shell = JudgeData(
        kind=kind,
        rows=(),
        mapping=roles,
        gold_columns=gold,
        numbers=numbers,
        notes=() if words else _notes(records, gold, kind, numbers),
        words=words,
        writers=_writers(roles, columns) if kind == "pairwise" else None,
        id_column=roles.get("id") or _id_column(records),
    )
    shown = list(slices) or _slices(records, columns)
    rows, problems, taken = [], [], set[str]()
    for place, record in enumerate(records):
        try:
            row = _row(shell, _id_of(record, shell.id_column, place), record, shown)
        except Unreadable as error:
            problems.append(Problem(str(error), str(path), record.line, allowed=_allowed(kind)))
            continue
        if row.id in taken and "rater" not in roles:
            fix = "Where each line is one person's word, name who: --map rater=COLUMN"
            found = f"the id {row.id!r} stands twice"
            problems.append(Problem(found, str(path), record.line, fix=fix))
        taken.add(row.id)
        rows.append(row)
    if problems:
        raise DataError(str(problems[0]), problems)
    if "rater" in roles:
        rows = by_pair(rows, roles["rater"], named="id" in roles)
    return replace(shell, rows=rows)


def _roles(path: Path, columns: Sequence[str], given: dict[str, str]) -> dict[str, str]:
    if odd := sorted(set(given) - set(ROLES) - set(VERDICT_ROLES)):
        allowed = ", ".join((*ROLES, *VERDICT_ROLES))
        problem = Problem(f"--map knows no {odd[0]!r}", str(path), allowed=allowed)
        raise DataError(str(problem), [problem])
    roles = {role: column for role, column in given.items() if role in ROLES}
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
    for twins in (("a", "b"), ("b", "a"), ("system_a", "system_b"), ("system_b", "system_a")):
        if twins[0] in roles and twins[1] not in roles:
            found = f"--map names {twins[0]} and no {twins[1]}"
            problem = Problem(found, str(path), fix=f"Add {twins[1]}=COLUMN.")
            raise DataError(str(problem), [problem])
    paired = "a" in roles
    for role in ("system",) if paired else ("system_a", "system_b"):
        if role in roles:
            found = f"--map names {role}, and a row holds {'two answers' if paired else 'one'}"
            fix = f"Name {'system_a=COLUMN,system_b=COLUMN' if paired else 'system=COLUMN'}."
            problem = Problem(found, str(path), fix=fix)
            raise DataError(str(problem), [problem])
    answers = {roles.get(role) for role in ("a", "b", "response")}
    if "instruction" not in roles:
        found = find_column([name for name in columns if name not in answers], INSTRUCTIONS)
        roles |= {"instruction": found} if found else {}
    return roles


def _writers(roles: Mapping[str, str], columns: Sequence[str]) -> tuple[str, str] | None:
    if "system_a" in roles and "system_b" in roles:
        return roles["system_a"], roles["system_b"]
    return find_writers(columns)


def _no_gold(
    path: Path, records: Sequence[Numbered], columns: Sequence[str], kind: Kind
) -> DataError:
    role = "winner" if kind == "pairwise" else "score"
    inside = (example(record.fields.get(name), name) for record in records for name in columns)
    path_to = next((found for found in inside if found is not None and "." in found), None)
    also = f"; what lies inside is named like {path_to}" if path_to else ""
    problem = Problem(
        f"no column of people's verdicts was recognised among {', '.join(columns)}",
        str(path),
        fix=f"Name it: --map {role}=COLUMN or --gold-columns A,B,C{also}",
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
    value = None if name is None else cell(record.fields, name)
    return str(place) if value is None else id_text(value)


def id_text(value: Any) -> str:
    """An id as text; 7.0, as tables with gaps hold whole numbers, is 7."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _whole(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its winner as one column, and what a prompt in it holds."""
    found = unfolded(fields)
    if "winner" not in found and ONE_HOT.keys() <= found.keys():
        named = [winner for name, winner in ONE_HOT.items() if number_of(found[name]) == 1]
        found["winner"] = named[0] if len(named) == 1 else None
    return found


def _words(kind: Kind, labels: Mapping[str, str]) -> dict[str, Value]:
    """The file's own words and what they mean.

    Raises: DataError where that is no verdict.
    """
    found: dict[str, Value] = {}
    for word, meant in labels.items():
        number = number_of(meant)
        if kind == "pairwise" and meant in SWAPPED:
            found[word.casefold()] = SWAPPED[SWAPPED[meant]]
        elif kind == "absolute" and number is not None:
            found[word.casefold()] = number
        else:
            allowed = ", ".join(SWAPPED) if kind == "pairwise" else "a number"
            problem = Problem(f"{word} means {meant!r}", key="--labels", allowed=allowed)
            raise DataError(str(problem), [problem])
    return found


def _slices(records: Sequence[Numbered], columns: Sequence[str]) -> list[str]:
    """The usual names, as columns or inside `meta`."""
    meta = [record.fields["meta"] for record in records if "meta" in record.fields]
    inside = [name for name in SLICES if name not in columns and places(meta, name)]
    return [name for name in SLICES if name in columns] + [f"meta.{name}" for name in inside]


def _notes(
    records: Sequence[Numbered],
    gold: Sequence[str],
    kind: Kind,
    numbers: Mapping[int, Winner],
) -> tuple[str, ...]:
    """Winners that are all 0 and 1 may count from 0, which nothing in them tells."""
    cells = [cell(record.fields, name) for record in records for name in gold]
    values = {number_of(value) for value in cells if not is_missing(value)}
    if kind != "pairwise" or numbers is not NUMBERS or values != {0.0, 1.0}:
        return ()
    return (
        f"every winner in {', '.join(gold)} is 0 or 1, read as tie and a; "
        "where they mean something else say so, such as --labels 0=a,1=b",
    )


def require_places(
    path: Path | str, records: Sequence[Mapping[str, Any]], wanted: Sequence[str]
) -> None:
    """Refuses columns, or paths into them, that no record has.

    Raises: DataError with each.
    """
    problems = []
    for name in dict.fromkeys(wanted):
        if places(records, name):
            continue
        columns = list(dict.fromkeys(column for fields in records for column in fields))
        head = name.partition(".")[0]
        inner = next((found for r in records if (found := example(r.get(head), head))), None)
        allowed = inner if inner and inner != head else ", ".join(columns)
        problems.append(Problem(f"there is no column {name!r}", str(path), allowed=allowed))
    if problems:
        raise DataError(str(problems[0]), problems)


def _row(data: JudgeData, own: str, record: Numbered, slices: Sequence[str]) -> JudgeRow:
    fields, roles = record.fields, data.mapping
    ratings = _ratings(data, fields)
    gold: Value | None = majority(list(ratings.values()))
    answers = tuple(cell(fields, roles[role]) for role in ("a", "b", "response") if role in roles)
    if not ratings and is_chosen(roles.get("a")):
        gold = "a"
    shown = {name: cell(fields, name) for name in slices}
    return JudgeRow(
        id=own,
        instruction=_instruction(fields, roles, answers[0]),
        answers=answers,
        gold=gold,
        ratings=ratings,
        slices={
            name.removeprefix("meta."): str(value)
            for name, value in shown.items()
            if value is not None
        },
        fields=fields,
        line=record.line,
    )


def _ratings(data: JudgeData, fields: Mapping[str, Any]) -> dict[str, Value | None]:
    """What each person said; a list of words in one column is one person's word each.

    Two numbers in a list are a score for each answer, unless a path with * gathered them.
    """
    found: dict[str, Value | None] = {}
    for name in data.gold_columns:
        value = cell(fields, name)
        numbers = isinstance(value, list) and all(number_of(one) is not None for one in value)
        people = "*" in name or data.kind == "absolute" or not numbers
        if isinstance(value, list) and value and people:
            found |= {f"{name}.{at}": data.read(one, fields) for at, one in enumerate(value)}
        else:
            found[name] = data.read(value, fields)
    return found


def _instruction(fields: Mapping[str, Any], roles: Mapping[str, str], answer: Any) -> str:
    """The instruction, with PandaLM's separate `input` below it.

    Without one, what a conversation that holds the first answer begins with.
    """
    name = roles.get("instruction")
    if name is None:
        return _first_turn(answer)
    value = cell(fields, name)
    text = "" if value is None else str(value)
    extra = fields.get("input") if name == "instruction" else None
    return f"{text}\n\n{extra}" if extra and "input" not in roles.values() else text


def _first_turn(answer: Any) -> str:
    turns = answer if isinstance(answer, list) else []
    first = turns[0] if turns and isinstance(turns[0], Mapping) else {}
    return str(first.get("content") or "") if first.get("role") == "user" else ""


def _allowed(kind: Kind) -> str:
    return "a, b, tie, 1, 2, 0 or nothing" if kind == "pairwise" else "a number or nothing"
