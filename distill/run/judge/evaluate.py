"""`distill judge eval`: a judge, or recorded verdicts, against people."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from distill.errors import Problem, RunError, UsageError
from distill.judge.passport import Passport
from distill.judge.recorded import (
    Recorded,
    column_verdicts,
    inner_verdicts,
    read_verdict_file,
)
from distill.judge.rows import VERDICT_ROLES, JudgeData, read_judge_data
from distill.judge.verdicts import Verdict
from distill.rows.atomic import atomic_file, storage_error

ALIASES = {"parse": "parsed"}


def read_pairs(text: str | None, option: str) -> dict[str, str]:
    """`a=b,c=d` as a mapping.

    Raises: UsageError for a part without `=`.
    """
    found = {}
    for part in filter(None, (text or "").split(",")):
        name, equals, value = part.partition("=")
        if not (name.strip() and equals and value.strip()):
            problem = Problem(f"{part!r} is not NAME=VALUE", key=option)
            raise UsageError(str(problem), [problem])
        found[name.strip()] = value.strip()
    return found


def read_limits(texts: Sequence[str], option: str) -> dict[str, float]:
    """The limits of one or more `k=v,...`.

    Raises: UsageError where a value is no number.
    """
    found = {}
    for name, value in read_pairs(",".join(texts), option).items():
        try:
            found[name] = float(value)
        except ValueError:
            problem = Problem(f"{name}={value}: not a number", key=option)
            raise UsageError(str(problem), [problem]) from None
    return found


def load_data(
    path: Path,
    mapping: Mapping[str, str],
    gold: Sequence[str],
    slices: Sequence[str],
    labels: Mapping[str, str] | None = None,
) -> JudgeData:
    """The rows to measure on.

    Raises: DataError.
    """
    return read_judge_data(path, mapping=mapping, gold_columns=gold, slices=slices, labels=labels)


def verdict_roles(mapping: Mapping[str, str]) -> list[str]:
    """What --map says of recorded verdicts."""
    return [role for role in mapping if role in VERDICT_ROLES]


def recorded(
    path: Path,
    data: JudgeData,
    mapping: Mapping[str, str],
    *,
    file: Path | None = None,
    swapped: Path | None = None,
    column: str | None = None,
) -> tuple[JudgeData, list[Verdict] | None]:
    """Verdicts that somebody recorded, and the data with notes on them; None where none were named.

    Args:
        path: Of the data.
        data: What was judged.
        mapping: What --map says, of files or, without any, of columns of the data.
        file: Verdicts, in the order that it says or with the first answer first.
        swapped: Verdicts that were asked for with the second answer first.
        column: A column of the data that holds them.

    Raises: DataError; UsageError for columns of verdicts beside --verdict-column.
    """
    named = {role: mapping[role] for role in verdict_roles(mapping)}
    found: list[Recorded] = []
    if file is not None:
        found.append(read_verdict_file(file, data, named))
    if swapped is not None:
        found.append(read_verdict_file(swapped, data, named, order="ba"))
    if not found and (column is not None or named):
        if column is not None:
            named = {"verdict": column, **named}
        found.append(inner_verdicts(path, data, named))
    if not found:
        return data, None
    notes = [note for part in found for note in part.notes]
    verdicts = [verdict for part in found for verdict in part.verdicts]
    return replace(data, notes=[*data.notes, *notes]), verdicts


def other_verdicts(
    data: JudgeData, column: str | None, previous: Path | None
) -> dict[str, list[Verdict]]:
    """Whom to test the judge against: the teacher of a column, a previous judge's file.

    Raises: DataError.
    """
    found = {}
    if column is not None:
        found["teacher"] = column_verdicts(column, data, column)
    if previous is not None:
        found["previous"] = read_verdict_file(previous, data).verdicts
    return found


def missed_limits(passport: Passport, limits: Mapping[str, float]) -> RunError | None:
    """What is under its limit or missing; None where every limit is kept.

    Raises: UsageError for a limit of no figure.
    """
    figures = passport.as_dict()
    problems = []
    for name, limit in limits.items():
        value = figure_named(figures, name)
        if value is None or value < limit:
            shown = "has no value" if value is None else f"is {value:.4f}"
            problems.append(Problem(f"{name} {shown}", allowed=f"at least {limit:g}", key=name))
    return RunError(str(problems[0]), problems) if problems else None


def figure_named(figures: Mapping[str, Any], name: str) -> float | None:
    """The value of a figure by its name ("kappa", "absolute.pearson", or "pearson").

    Raises: UsageError where there is none of that name.
    """
    place: Any = figures
    for part in ALIASES.get(name, name).split("."):
        inner = place.get("absolute") if isinstance(place, Mapping) else None
        if isinstance(place, Mapping) and part in place:
            place = place[part]
        elif isinstance(inner, Mapping) and part in inner:
            place = inner[part]
        else:
            place = None
            break
    if isinstance(place, Mapping) and "value" in place:
        found: float | None = place["value"]
        return found
    if isinstance(place, int | float) and not isinstance(place, bool):
        return float(place)
    names = [
        key for key, value in figures.items() if isinstance(value, Mapping) and "value" in value
    ]
    names += [f"absolute.{key}" for key in figures.get("absolute") or ()]
    problem = Problem(f"there is no figure {name!r}", key="--fail-under", allowed=", ".join(names))
    raise UsageError(str(problem), [problem])


def write_disagreements(passport: Passport, to: Path) -> int:
    """Writes the rows on which judge and people disagree, for `distill review export`.

    Raises: DistillError when the disk fails.
    """
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(to) as file:
            for row in passport.disagreements:
                fields = {"id": row.id, **row.fields}
                file.write(json.dumps(fields, ensure_ascii=False) + "\n")
    except OSError as error:
        raise storage_error(error, to) from error
    return len(passport.disagreements)


def write_page(passport: Passport, to: Path, name: str) -> None:
    """Writes the passport as a page that needs no network.

    Raises: DistillError when the disk fails.
    """
    from distill.report.judge_page import render_judge

    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(to) as file:
            file.write(render_judge(passport.as_dict(), name))
    except OSError as error:
        raise storage_error(error, to) from error
