"""The rows of a finished stage: Parquet parts, which nobody has to hold in memory at once."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from distill.errors import DataError, Problem
from distill.rows.atomic import atomic_file
from distill.rows.collection import rare_collection
from distill.rows.row import Row, Verdict, canonical_json

PARTS = "part-*.parquet"


@dataclass(frozen=True, slots=True)
class Counts:
    """How the rows of a stage ended: in = accepted + rejected + failed."""

    accepted: int
    rejected: int
    failed: int
    reasons: Mapping[str, int]
    """Of the rejected and failed rows, by reason."""

    @property
    def total(self) -> int:
        """All rows."""
        return self.accepted + self.rejected + self.failed


def write_stage(folder: Path, rows: Iterable[Row], part_rows: int = 50_000) -> Counts:
    """Writes the rows as parts of at most `part_rows`; parts of an earlier, longer run are deleted.

    Raises: RunError when the folder cannot be written.
    """
    status: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    left = iter(rows)
    written: set[str] = set()
    while (part := list(islice(left, part_rows))) or not written:
        status.update(row.status for row in part)
        reasons.update(row.reason or "unknown" for row in part if row.status != "accepted")
        name = f"part-{len(written):05d}.parquet"
        write_rows(folder / name, part)
        written.add(name)
    for stale in sorted(folder.glob(PARTS)):
        if stale.name not in written:
            stale.unlink()
    return Counts(
        status["accepted"], status["rejected"], status["failed"], dict(sorted(reasons.items()))
    )


def read_stage(folder: Path) -> Iterator[Row]:
    """The rows of a stage in the order in which they were written.

    Raises: DataError when there is no part, or one cannot be read.
    """
    parts = sorted(folder.glob(PARTS))
    if not parts:
        raise _error(folder, "no rows were written here", "Run the stage again.")
    for part in parts:
        yield from read_rows(part)


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes rows as one Parquet file; fields and verdicts are JSON text."""
    with rare_collection():
        # The rows are held, so the ids of their verdicts stay theirs.
        held, told = list(rows), dict[int, str]()
        columns = zip(*[_record(row, told) for row in held], strict=True)
    names = _columns().names
    values = dict(zip(names, columns, strict=False)) or {name: () for name in names}
    table = pa.table({name: list(values[name]) for name in names}, schema=_columns())
    with atomic_file(path, "wb") as file:
        pq.write_table(table, file, compression="zstd")


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file that `write_rows` wrote.

    Raises: DataError when it is no such file.
    """
    try:
        table = pq.read_table(path, use_threads=False)
    except (OSError, pa.ArrowException) as exc:
        raise _error(path, "not readable as Parquet", "Run the stage again.") from exc
    if table.column_names != _columns().names:
        raise _error(path, "not the columns of a stage", "Run the stage again.")
    for batch in table.to_batches(max_chunksize=1000):
        for record in batch.to_pylist():
            verdicts = tuple(Verdict(**verdict) for verdict in json.loads(record.pop("verdicts")))
            yield Row(**{**record, "fields": json.loads(record["fields"])}, verdicts=verdicts)


def _record(row: Row, told: dict[int, str]) -> tuple[str, str, str | None, float | None, str, str]:
    """The row's columns; `told` is what is known of verdicts: many rows were given the same."""
    given = []
    for one in row.verdicts:
        text = told.get(id(one))
        if text is None:
            # dataclasses.asdict would copy it deeply.
            said = {"by": one.by, "keep": one.keep, "reason": one.reason, "score": one.score}
            text = told[id(one)] = canonical_json(said)
        given.append(text)
    fields = row.fields if isinstance(row.fields, dict) else dict(row.fields)
    verdicts = f"[{','.join(given)}]"
    return row.id, row.status, row.reason, row.score, canonical_json(fields), verdicts


def _columns() -> Any:
    names = ("id", "status", "reason", "score", "fields", "verdicts")
    return pa.schema([(name, pa.float64() if name == "score" else pa.string()) for name in names])


def _error(path: Path, found: str, fix: str) -> DataError:
    problem = Problem(found, file=str(path), fix=fix)
    return DataError(str(problem), [problem])
