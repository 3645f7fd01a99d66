"""Slices of large JSONL and Parquet files, each of which is read and written alone.

A slice of JSONL owns the lines that begin within its bytes, one of Parquet is a row group. Rows
keep their bytes (JSONL) or types (Parquet).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.rows.atomic import atomic_file
from distill.rows.json_values import BadValue, parse_json
from distill.rows.readers import data_error
from distill.rows.row import canonical_json

ENDINGS = (".jsonl", ".parquet")
BYTES = 32 * 2**20
"""Of a slice of JSONL, about."""
SIMILARITY = "near_duplicate_similarity"
"""The field that a dropped row has besides."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a file."""

    path: str
    start: int
    """First byte of JSONL; the row group of Parquet."""
    end: int
    """Byte after the last one; the next row group."""

    @property
    def ending(self) -> str:
        """Of the file, and of what is written from it."""
        return Path(self.path).suffix.lower()


def cut(files: Sequence[Path], size: int = BYTES) -> list[Slice]:
    """The slices of files and of folders of them, in order (folders: by name).

    Raises: DataError for a file that is missing, of another kind or no Parquet.
    """
    return [part for file in files for path in _files(file) for part in _cut(path, size)]


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        found = [path]
    elif not (found := sorted(one for one in path.iterdir() if one.suffix.lower() in ENDINGS)):
        raise data_error(path, None, "the folder holds no such file", ", ".join(ENDINGS))
    for one in found:
        if not one.is_file():
            raise data_error(one, None, "there is no such file", fix="Mend the path.")
        if one.suffix.lower() not in ENDINGS:
            raise data_error(one, None, "files of this kind are not read in slices",
                             ", ".join(ENDINGS), "Turn it into one of these.")  # fmt: skip
    return found


def _cut(path: Path, size: int) -> list[Slice]:
    if path.suffix.lower() == ".jsonl":
        total = path.stat().st_size
        return [
            Slice(str(path), start, min(total, start + size)) for start in range(0, total, size)
        ]
    groups = _parquet(str(path)).num_row_groups
    return [Slice(str(path), group, group + 1) for group in range(groups)]


def count(part: Slice, field: str) -> tuple[int, int, Problem | None]:
    """Rows, lines and what is wrong with the first row that has no text in a field.

    Lines are counted from the first of the slice, in the problem too.
    """
    rows = lines = 0
    try:
        if part.ending == ".parquet":
            column = _column(part, field)
            empty = column.null_count and column.to_pylist().index(None) + 1
            return len(column), 0, _no_text(part, None, field, f"row {empty}") if empty else None
        for content in _lines(part):
            lines += 1
            if content.strip():
                _text(part, lines, content, field)
                rows += 1
    except DataError as error:
        return rows, lines, error.problems[0]
    return rows, lines, None


def texts(part: Slice, field: str) -> list[str]:
    """What a field of each row says; anything but text as canonical JSON.

    Raises: DataError for a row without the field.
    """
    if part.ending == ".parquet":
        values = _column(part, field).to_pylist()
        return [_as_text(value) for value in values]
    return [_text(part, line, content, field) for line, content in _rows(part)]


def write_parted(part: Slice, dropped: Mapping[int, float], kept_to: Path, to: Path) -> None:
    """Writes the rows of a slice to one file, those that are dropped to another; none of no rows.

    Args:
        part: The slice.
        dropped: Place in the slice -> similarity, which the written row then says.
        kept_to: The file of the others.
        to: The file of those that are dropped.

    Raises: RunError when the disk is full.
    """
    if part.ending == ".parquet":
        _write_group(part, dropped, kept_to, to)
        return
    kept: list[bytes] = []
    away: list[bytes] = []
    for at, (line, content) in enumerate(_rows(part)):
        if at in dropped:
            row = _record(part, line, content) | {SIMILARITY: dropped[at]}
            away.append(canonical_json(row).encode())
        else:
            kept.append(content)
    for path, rows in ((kept_to, kept), (to, away)):
        if rows:
            with atomic_file(path, "wb") as file:
                file.writelines(row + b"\n" for row in rows)


def _write_group(part: Slice, dropped: Mapping[int, float], kept_to: Path, to: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _parquet(part.path).read_row_group(part.start, use_threads=False)
    away = sorted(dropped)
    kept = table.take([at for at in range(len(table)) if at not in dropped])
    said = pa.array([dropped[at] for at in away], pa.float64())
    for path, rows in ((kept_to, kept), (to, table.take(away).append_column(SIMILARITY, said))):
        if len(rows):
            with atomic_file(path, "wb") as file:
                pq.write_table(rows, file)


def _lines(part: Slice) -> Iterator[bytes]:
    with open(part.path, "rb") as file:
        if part.start:
            file.seek(part.start - 1)
            file.readline()  # the line before, up to its end
        while file.tell() < part.end and (content := file.readline()):
            yield content.rstrip(b"\r\n")


def _rows(part: Slice) -> Iterator[tuple[int, bytes]]:
    return ((line, text) for line, text in enumerate(_lines(part), 1) if text.strip())


def _record(part: Slice, line: int, content: bytes) -> dict[str, Any]:
    try:
        value = parse_json(content.decode("utf-8-sig" if line == 1 and not part.start else "utf-8"))
    except UnicodeDecodeError:
        raise data_error(Path(part.path), line, "not UTF-8", fix="Save it as UTF-8.") from None
    except BadValue as error:
        raise data_error(
            Path(part.path), line, str(error), fix="Write one JSON object per line."
        ) from None
    if not isinstance(value, dict):
        raise data_error(Path(part.path), line, "not an object", "one JSON object per line")
    return value


def _text(part: Slice, line: int, content: bytes, field: str) -> str:
    record = _record(part, line, content)
    if record.get(field) is None:
        allowed = ", ".join(map(str, record))
        problem = _no_text(part, line, field, "the row", allowed)
        raise DataError(str(problem), [problem])
    return _as_text(record[field])


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _no_text(
    part: Slice, line: int | None, field: str, what: str, allowed: str | None = None
) -> Problem:
    fix = "Name another with --field, or drop the row first."
    found = f"{what} has nothing in the field {field!r}"
    return Problem(found, file=part.path, line=line, allowed=allowed, fix=fix)


def _column(part: Slice, field: str) -> Any:
    file = _parquet(part.path)
    names = file.schema_arrow.names
    if field not in names:
        problem = _no_text(part, None, field, "the file", ", ".join(names))
        raise DataError(str(problem), [problem])
    return file.read_row_group(part.start, columns=[field], use_threads=False)[field]


def _parquet(path: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException, ValueError) as error:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise data_error(Path(path), None, f"not a readable Parquet file: {reason}") from error
