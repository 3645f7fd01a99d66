"""Events of a run, beside the spending that the teachers' budget writes into the same file."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from distill.run.directory import now
from teachers.writer import reading, storage_error

SCHEMA = """
CREATE TABLE IF NOT EXISTS events
(at TEXT NOT NULL, stage TEXT, kind TEXT NOT NULL, data TEXT NOT NULL)
"""


def record(path: Path, stage: str | None, kind: str, data: Mapping[str, Any] | None = None) -> None:
    """Appends one event, durably.

    Raises: StorageError when it cannot be written.
    """
    try:
        with closing(sqlite3.connect(path, timeout=30)) as database, database:
            database.execute(SCHEMA)
            database.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?)",
                (now(), stage, kind, json.dumps(dict(data or {}), ensure_ascii=False)),
            )
    except sqlite3.Error as error:
        raise storage_error(path, error) from error


def events(path: Path) -> Iterator[dict[str, Any]]:
    """All events, oldest first; none where there is no ledger yet."""
    if not path.is_file():
        return
    with reading(path) as database:
        known = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone()
        for at, stage, kind, data in database.execute("SELECT * FROM events") if known else ():
            yield {"at": at, "stage": stage, "kind": kind, "data": json.loads(data)}
