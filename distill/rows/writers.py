"""Plain records out, by suffix: .jsonl, .csv, .parquet. The counterpart of `readers`."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.errors import Problem, UsageError
from distill.rows.atomic import atomic_file
from distill.rows.row import canonical_json

FORMATS = (".jsonl", ".csv", ".parquet")
RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
"""A spreadsheet takes a cell that begins so for a formula, or for one that was made safe."""


def write_records(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Writes records in the format that the file's name asks for, whole or not at all.

    JSONL keeps every value as it is. CSV and Parquet hold text and numbers; lists and mappings
    become JSON text. In CSV a text that a spreadsheet would take for a formula gets one apostrophe
    in front, as does one that begins with an apostrophe, so that taking one off restores it.

    Raises: UsageError for another suffix, RunError when the file cannot be written.
    """
    refuse_format(path)
    if path.suffix == ".jsonl":
        with atomic_file(path) as file:
            file.writelines(canonical_json(dict(record)) + "\n" for record in records)
    elif path.suffix == ".csv":
        with atomic_file(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            names = columns_of(records)
            writer.writerow(map(_safe, names))
            writer.writerows([_cell(record.get(name)) for name in names] for record in records)
    else:
        _write_parquet(path, records)


def refuse_format(path: Path) -> None:
    """Raises UsageError when `write_records` has no format for this file name."""
    if path.suffix not in FORMATS:
        problem = Problem(
            found=f"cannot write {path.suffix or 'a file without a suffix'}",
            file=str(path),
            allowed=", ".join(FORMATS),
        )
        raise UsageError(str(problem), [problem])


def columns_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """All names that occur, in the order of their first use."""
    return list(dict.fromkeys(name for record in records for name in record))


def _write_parquet(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = columns_of(records)
    columns = {name: _column([record.get(name) for record in records]) for name in names}
    with atomic_file(path, "wb") as file:
        pq.write_table(pa.table(columns), file)


def _column(values: Sequence[Any]) -> list[Any]:
    """Values of one type, else their JSON text: a Parquet column has one type."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str} or kinds <= {bool} or kinds <= {int, float}:
        return list(values)
    return [None if value is None else _text(value) for value in values]


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return _safe(_text(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(RISKY) else text
