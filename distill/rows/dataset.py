"""The dataset folder: files that other tools load, the same bytes for the same rows.

train and val as JSONL and Parquet, rejected.parquet, README.md (the card), dataset_info.json (for
LLaMA-Factory), openai.jsonl. What was there before is kept in versions/N/ when the rows differ.
"""

import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, RunError
from distill.rows.atomic import atomic_file, storage_error, sync_path
from distill.rows.card import dataset_info, with_front_matter
from distill.rows.readers import read_numbered
from distill.rows.row import Row, canonical_json
from distill.rows.stages import write_rows
from teachers.protocol import Message

Turns = tuple[Message, ...]
TURN_LISTS = ("messages", "prompt", "chosen", "rejected")


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One row to train on: messages, or a preference (prompt, chosen, rejected), or plain text."""

    id: str
    messages: Turns | None = None
    prompt: Turns | None = None
    chosen: Turns | None = None
    rejected: Turns | None = None
    text: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The row as its file holds it; plain text has no fields."""
        turns = {name: getattr(self, name) for name in TURN_LISTS}
        record: dict[str, Any] = {"id": self.id}
        for name, value in turns.items():
            if value is not None:
                record[name] = [{"role": turn.role, "content": turn.content} for turn in value]
        if self.text is not None:
            return {**record, "text": self.text}
        return {**record, "fields": json.loads(canonical_json(dict(self.fields)))}


def write_dataset(
    folder: Path,
    splits: Mapping[str, Sequence[DatasetRow]],
    rejected: Iterable[Row],
    card: str,
) -> None:
    """Writes the dataset, each file whole, rows sorted by id.

    Args:
        folder: Holds the newest version; earlier ones go to `versions/N` inside it.
        splits: Rows by split name ("train", "val").
        rejected: Rows that did not survive, with their reasons.
        card: README.md; front matter that says what is where is put before it if it has none.

    Raises: RunError when an id comes twice or the folder cannot be written.
    """
    parts = {name: sorted(rows, key=lambda row: row.id) for name, rows in splits.items()}
    _refuse_repeats(row.id for rows in parts.values() for row in rows)
    records = {name: [row.as_dict() for row in rows] for name, rows in parts.items()}
    texts = {f"{name}.jsonl": _lines(rows) for name, rows in records.items()}
    _keep_earlier(folder, texts)
    shape = _shape(records)
    with_messages = [
        {"messages": row["messages"]} for row in records.get("train", []) if "messages" in row
    ]
    extra = {
        "README.md": with_front_matter(card, list(parts)),
        "dataset_info.json": json.dumps(dataset_info(list(parts), shape), indent=2) + "\n",
    }
    if with_messages:
        extra["openai.jsonl"] = _lines(with_messages)
    write_rows(folder / "rejected.parquet", sorted(rejected, key=lambda row: row.id))
    for name, rows in records.items():
        _write_parquet(folder / f"{name}.parquet", rows, shape)
    for name, text in {**extra, **texts}.items():
        with atomic_file(folder / name) as file:
            file.write(text)
    _drop_others(folder, {*extra, *texts, *(f"{name}.parquet" for name in parts)})


def read_dataset(folder: Path, split: str) -> list[DatasetRow]:
    """The rows of one split, sorted by id; none where the split is empty.

    Raises: DataError when there is no such split or a row is not of the dataset's shape.
    """
    path = folder / f"{split}.jsonl"
    if path.is_file() and path.stat().st_size == 0:
        return []
    return [_row(path, numbered.line, numbered.fields) for numbered in read_numbered(path)]


def _row(path: Path, line: int | None, record: Mapping[str, Any]) -> DatasetRow:
    try:
        turns = {
            name: tuple(Message(turn["role"], turn["content"]) for turn in record[name])
            for name in TURN_LISTS
            if name in record
        }
        return DatasetRow(
            id=record["id"],
            text=record.get("text"),
            fields=record.get("fields", {}),
            **turns,
        )
    except (KeyError, TypeError) as exc:
        problem = Problem(f"not a row of a dataset: {exc}", file=str(path), line=line)
        raise DataError(str(problem), [problem]) from exc


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    dumped = (json.dumps(record, ensure_ascii=False, allow_nan=False) for record in records)
    return "".join(f"{line}\n" for line in dumped)


def _refuse_repeats(ids: Iterable[str]) -> None:
    seen: set[str] = set()
    for id in ids:
        if id in seen:
            raise RunError(f"two rows of the dataset have the id {id}")
        seen.add(id)


def _shape(records: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """`messages`, `preference` or `text`; all rows of a dataset have one shape."""
    kinds = {
        "text" if "text" in row else "preference" if "chosen" in row else "messages"
        for rows in records.values()
        for row in rows
    }
    if len(kinds) > 1:
        raise RunError(f"rows of different shapes in one dataset: {', '.join(sorted(kinds))}")
    return kinds.pop() if kinds else "messages"


def _write_parquet(path: Path, records: Sequence[Mapping[str, Any]], shape: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    turns = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    columns = {
        "messages": [("messages", turns)],
        "preference": [("prompt", turns), ("chosen", turns), ("rejected", turns)],
        "text": [("text", pa.string())],
    }[shape]
    fields = [] if shape == "text" else [("fields", pa.string())]
    # JSON text: rows may hold fields of different types, which no column type could hold.
    rows = [
        {**row, "fields": canonical_json(row["fields"])} if "fields" in row else row
        for row in records
    ]
    table = pa.Table.from_pylist(rows, schema=pa.schema([("id", pa.string()), *columns, *fields]))
    whole = io.BytesIO()
    pq.write_table(table, whole, compression="zstd")
    with atomic_file(path, "wb") as file:
        file.write(whole.getbuffer())


def _keep_earlier(folder: Path, texts: Mapping[str, str]) -> None:
    """Copies what is there to versions/N, unless the new rows or the last version are the same."""
    now = _contents(folder)
    if not now or now == {name: text.encode() for name, text in texts.items()}:
        return
    versions = folder / "versions"
    numbers = [int(path.name) for path in versions.glob("*") if path.name.isdigit()]
    last = max(numbers, default=0)
    if last and _contents(versions / str(last)) == now:
        return  # a write was stopped after this copy was made
    copy = versions / f".{last + 1}.part"
    try:
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for path in sorted(folder.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                shutil.copy2(path, copy / path.name)
                _sync(copy / path.name)
        copy.rename(versions / str(last + 1))
        sync_path(versions)
    except OSError as exc:
        raise storage_error(exc, versions) from exc


def _contents(folder: Path) -> dict[str, bytes]:
    """The splits of a version, by file name."""
    names = ("train.jsonl", "val.jsonl")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _drop_others(folder: Path, written: set[str]) -> None:
    """Deletes the files of splits and shapes that the newest version no longer has."""
    for name in ("train.jsonl", "val.jsonl", "train.parquet", "val.parquet", "openai.jsonl"):
        if name not in written:
            (folder / name).unlink(missing_ok=True)
