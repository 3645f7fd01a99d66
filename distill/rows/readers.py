"""Data files as records: .jsonl .json .csv .tsv .txt .parquet, chosen by the ending.

What cannot be read exactly is refused with its line; nothing is guessed, skipped or replaced.
"""

import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from distill.errors import DataError, Problem
from distill.rows.json_values import BadValue, parse_json
from distill.rows.nested import enclosed_rows, unfolded
from distill.rows.tables import read_delimited, read_parquet


class Numbered(NamedTuple):
    """A record with its place in the file."""

    line: int | None
    """Where the record starts; None where the format has no lines."""
    fields: dict[str, Any]


_SPLIT = re.compile(
    r"(?i)(?:^|[\W_])(?:train|training|val|valid|validation|dev|test|testing|eval|gold)(?:[\W\d_]|$)"
)
MARKS = (";", "\t", ",", "|")
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".parquet")


def read_records(path: Path | str, *, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The records of a data file, at least one.

    Args:
        path: The file; its ending says the format. A .txt holds tab-separated columns, or, where
            no line has a tab, one text per line in the column `text`. A .json holds an array, an
            object of columns or of rows by name, an object that holds one array beside plain
            values, or an object of either, whose names then stand in each record's `split`.
        columns: Names for a file without a header, or for arrays of plain values.

    Raises: DataError with the line of what is wrong.
    """
    return [numbered.fields for numbered in read_numbered(path, columns=columns)]


def read_numbered(path: Path | str, *, columns: Sequence[str] | None = None) -> list[Numbered]:
    """As `read_records`, with the line of each record."""
    path = Path(path)
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise data_error(path, None, f"the ending {ending!r} is not known", ", ".join(ENDINGS))
    if ending == ".parquet":
        found = [Numbered(None, record) for record in read_parquet(path)]
    else:
        text = read_utf8(path)
        parsers: Mapping[str, Callable[[Path, str, Sequence[str] | None], list[Numbered]]] = {
            ".jsonl": _jsonl,
            ".json": _json,
            ".csv": _csv,
            ".tsv": _tsv,
            ".txt": _txt,
        }
        found = parsers[ending](path, text, columns)
    if not found:
        raise data_error(path, None, "the file holds no rows", fix="Give it at least one row.")
    return found


def read_texts(path: Path | str) -> list[str]:
    """The lines of a text file without surrounding white space; blank lines are left out.

    Raises: DataError when there is none, or the file is not UTF-8.
    """
    path = Path(path)
    texts = [line.strip() for line in read_utf8(path).split("\n") if line.strip()]
    if not texts:
        raise data_error(path, None, "the file holds no text", fix="Write one value per line.")
    return texts


def read_utf8(path: Path) -> str:
    """The text of a data file, without a byte order mark; one of UTF-16 is heeded.

    Raises: DataError when it is missing, unreadable or neither.
    """
    try:
        raw = path.read_bytes()
    except OSError as exc:
        what = "there is no such file" if isinstance(exc, FileNotFoundError) else exc.strerror
        raise data_error(path, None, f"{what}", fix="Mend the path.") from exc
    try:
        return raw.decode("utf-16" if raw[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        found = f"byte 0x{raw[exc.start]:02x} is not UTF-8"
        raise data_error(path, line, found, fix="Save the file as UTF-8.") from exc


def data_error(
    path: Path,
    line: int | None,
    found: str,
    allowed: str | None = None,
    fix: str | None = None,
) -> DataError:
    """The error for a place in a data file."""
    problem = Problem(found, file=str(path), line=line, allowed=allowed, fix=fix)
    return DataError(str(problem), [problem])


def _jsonl(path: Path, text: str, columns: Sequence[str] | None) -> list[Numbered]:
    found = []
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        try:
            value = parse_json(written)
        except BadValue as exc:
            raise data_error(path, line, str(exc), fix="Write one JSON object per line.") from None
        found.append(Numbered(line, _record(path, line, value, columns)))
    return found


def _json(path: Path, text: str, columns: Sequence[str] | None) -> list[Numbered]:
    if not text.strip():
        return []
    try:
        value = parse_json(text)
    except BadValue as exc:
        fix = "Name a file with one object per line .jsonl" if exc.more else None
        raise data_error(path, exc.line, str(exc), fix=fix) from None
    if (rows := _keyed(value) or _rows(value)) is not None:
        return [Numbered(None, _record(path, None, item, columns)) for item in unfolded(rows)]
    splits = {name: _rows(part) for name, part in value.items()} if isinstance(value, dict) else {}
    if splits and all(rows is not None for rows in splits.values()):
        return [
            Numbered(None, {**_record(path, None, item, columns), "split": name})
            for name, items in splits.items()
            for item in unfolded(items or ())
        ]
    if (rows := enclosed_rows(value)) is not None:
        return [Numbered(None, _record(path, None, item, columns)) for item in unfolded(rows)]
    raise data_error(
        path,
        1,
        "not rows of data",
        "an array of objects, an object of columns, an object of splits that are either, or one "
        "array beside plain values",
    )


def _keyed(value: Any) -> Sequence[Any] | None:
    """The rows of an object whose names are their ids; None where it is none.

    It is one where every part has one plain value `id`, or where the names of the parts are
    numbers and those inside are not; elsewhere an object of objects is a table of columns.
    """
    parts = list(value.values()) if isinstance(value, dict) else []
    if not parts or not all(isinstance(part, dict) for part in parts):
        return None
    own = all(isinstance(part.get("id"), str | int) for part in parts)
    inner = {name for part in parts for name in part}
    numbered = all(map(str.isdecimal, value)) and not any(map(str.isdecimal, inner))
    if not own and not numbered:
        return None
    return [{"id": name, **part} for name, part in value.items()]


def _rows(value: Any) -> Sequence[Any] | None:
    """The rows of an array, or of an object whose values are columns or rows of the same fields.

    None where it is none of these.
    """
    if isinstance(value, list):
        return value
    if not isinstance(value, dict) or not value or any(map(_SPLIT.search, value)):
        return None
    parts = list(value.values())
    if all(isinstance(part, dict) for part in parts):  # as pandas writes a table
        if any(part.keys() != parts[0].keys() for part in parts):
            return None
        if not all(name.isdigit() for name in parts[0]):  # rows by name, not cells by number
            deep = all(isinstance(cell, dict | list) for part in parts for cell in part.values())
            return None if deep else [{"id": name, **row} for name, row in value.items()]
        parts = [list(part.values()) for part in parts]
    elif not all(isinstance(part, list) for part in parts):
        return None
    cells = [cell for part in parts for cell in part]
    plain = not any(isinstance(cell, dict) for cell in cells) and not all(
        isinstance(cell, list) for cell in cells
    )
    if not plain or len({len(part) for part in parts}) != 1:
        return None
    return [dict(zip(value, row, strict=True)) for row in zip(*parts, strict=True)]


def _record(
    path: Path, line: int | None, value: Any, columns: Sequence[str] | None
) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    if columns is None and isinstance(value, str) and path.suffix.lower() == ".json":
        return {"text": value}
    values = value if isinstance(value, list) else [value]
    if columns is not None and len(values) == len(columns):
        return dict(zip(columns, values, strict=True))
    shown = json.dumps(value, ensure_ascii=False)[:60]
    if columns is None:
        raise data_error(path, line, f"not an object: {shown}", fix="Give every row named fields.")
    raise data_error(path, line, f"{len(values)} values for {len(columns)} columns: {shown}")


def _mark(text: str, usual: str, columns: Sequence[str] | None) -> str:
    """What parts the columns: the usual mark, or, where line one has none, the one that it has.

    Spreadsheets write semicolons where a comma stands in numbers. A space counts only where it
    gives as many columns as were named.
    """
    first = next((line for line in text.split("\n") if line.strip()), "").rstrip("\r")
    if usual in first:
        return usual
    if columns is None:
        return next((mark for mark in MARKS if mark in first), usual)
    fits = (mark for mark in (*MARKS, " ") if len(first.split(mark)) == len(columns) > 1)
    return next(fits, usual)


def _csv(path: Path, text: str, columns: Sequence[str] | None) -> list[Numbered]:
    return _delimited(path, text, ",", columns)


def _tsv(path: Path, text: str, columns: Sequence[str] | None) -> list[Numbered]:
    return _delimited(path, text, "\t", columns)


def _txt(path: Path, text: str, columns: Sequence[str] | None) -> list[Numbered]:
    if "\t" in text or columns is not None:
        return _delimited(path, text, "\t", columns)
    lines = enumerate(text.split("\n"), 1)
    return [Numbered(at, {"text": line.strip()}) for at, line in lines if line.strip()]


def _delimited(path: Path, text: str, mark: str, columns: Sequence[str] | None) -> list[Numbered]:
    mark = _mark(text, mark, columns)
    try:
        return [Numbered(line, record) for line, record in read_delimited(text, mark, columns)]
    except BadValue as exc:
        raise data_error(path, exc.line, str(exc), exc.allowed, exc.fix) from None
