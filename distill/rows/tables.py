"""Records of separated text and of Parquet."""

import csv
import datetime
import decimal
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.rows.json_values import BadValue, bad

FIELD_LIMIT = 1 << 30
"""The csv module's own limit of 131,072 characters is less than one long document."""


def read_delimited(
    text: str, mark: str, columns: Sequence[str] | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of separated text, each with the line on which it starts; quotes may hold newlines.

    A first column without a name that counts from 0 (pandas' index) is left out.

    Raises: BadValue for ragged rows, broken quotes, and headers with empty or repeated names.
    """
    before = csv.field_size_limit(FIELD_LIMIT)
    try:
        yield from _rows(text, mark, columns)
    finally:
        csv.field_size_limit(before)


def _rows(
    text: str, mark: str, columns: Sequence[str] | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    names = list(columns) if columns is not None else None
    start, head, counted = 1, 1, None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as exc:
            fix = 'Put a field that holds " in quotes and double the inner ones.'
            raise bad(f"broken row: {exc}", start, fix=fix) from None
        line, start = start, reader.line_num + 1
        if not row:
            continue
        if names is None:
            counted = itertools.count() if len(row) > 1 and not row[0].strip() else None
            names, head = _header(row, line, bool(counted)), line
            continue
        if counted:
            if row[0] != str(next(counted)):
                raise _nameless(1, head)
            row = row[1:]
        if len(row) != len(names):
            found = f"{len(row)} values for {len(names)} columns"
            fix = "Quote values that hold the separator, or add what is missing."
            raise bad(found, line, ", ".join(names), fix)
        yield line, dict(zip(names, row, strict=True))


def _header(row: list[str], line: int, indexed: bool) -> list[str]:
    names = [name.strip() for name in row[indexed:]]
    for place, name in enumerate(names, 1):
        if not name:
            raise _nameless(place + indexed, line)
        if names.index(name) + 1 != place:
            raise bad(f"two columns are called {name!r}", line, fix="Rename one of them.")
    return names


def _nameless(place: int, line: int) -> BadValue:
    return bad(f"column {place} has no name", line, fix="Name it, or delete the column.")


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The rows of a Parquet file; dates become ISO text, NaN (a missing value to pandas) null.

    Raises: DataError when the file cannot be read or holds values that no JSON can.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows: list[dict[str, Any]] = pq.read_table(path, use_threads=False).to_pylist()
    except FileNotFoundError as exc:
        raise _error(path, "there is no such file", "Mend the path.") from exc
    except (OSError, pa.ArrowException, ValueError) as exc:
        reason = str(exc).splitlines()[0][:200] if str(exc) else type(exc).__name__
        raise _error(path, f"not a readable Parquet file: {reason}", None) from exc
    return [{name: _plain(path, name, value) for name, value in row.items()} for row in rows]


def _plain(path: Path, name: str, value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return (
                value if math.isfinite(value) else None if math.isnan(value) else _inf(path, name)
            )
        case list() | tuple():
            return [_plain(path, name, item) for item in value]
        case dict():
            return {str(key): _plain(path, name, item) for key, item in value.items()}
        case datetime.date() | datetime.time():
            return value.isoformat()
        case decimal.Decimal():
            return str(value)
    found = f"column {name!r} holds {type(value).__name__}, which JSON cannot hold"
    raise _error(path, found, "Drop the column or turn it into text.")


def _inf(path: Path, name: str) -> Any:
    raise _error(path, f"column {name!r} holds an infinite number", "Replace it.")


def _error(path: Path, found: str, fix: str | None) -> DataError:
    problem = Problem(found, file=str(path), fix=fix)
    return DataError(str(problem), [problem])
