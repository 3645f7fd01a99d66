"""One SQLite file with one writing thread: whatever is queued is committed together, then reported.

A write is reported only after its commit has reached the disk (WAL, synchronous=FULL), so a killed
process loses nothing that anybody was told about. Several processes may write to one file.
"""

import asyncio
import os
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachers.errors import StorageError

LOCK_WAIT_S = 30.0
SHARED_MEMORY_BYTES = 32_768
"""What SQLite needs beside a file in WAL mode."""
MOST_PER_COMMIT = 512


@dataclass(slots=True)
class _Write:
    """One statement; its end is told to `done`, or to nobody."""

    sql: str
    values: Sequence[Any]
    done: "Future[None] | asyncio.Future[None] | None"
    loop: asyncio.AbstractEventLoop | None = None
    problem: StorageError | None = None


class Writer:
    """Opens (or creates, mode 0600) the file at `path` with the tables of `schema`."""

    def __init__(self, path: str | Path, schema: str) -> None:
        self.path = Path(path)
        self._schema = schema
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._reads = threading.Lock()
        self._closed = False
        self._reader = self._open()
        self._connection = _connect(self.path)
        self._thread = threading.Thread(target=self._run, name=f"write {path}", daemon=True)
        self._thread.start()

    def _open(self) -> sqlite3.Connection:
        connection = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            connection = _connect(self.path)
            _patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
            _patiently(lambda: connection.executescript(self._schema))
        except (OSError, sqlite3.Error) as exc:
            if connection is not None:
                connection.close()
            raise storage_error(self.path, exc) from None
        return connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, over everything that is committed."""
        try:
            with self._reads:
                return self._reader.execute(sql, values).fetchall()
        except sqlite3.Error as exc:
            raise storage_error(self.path, exc) from None

    def submit(self, sql: str, values: Sequence[Any]) -> "Future[None]":
        """Queue one statement; the future is done when it is committed."""
        done: Future[None] = Future()
        self._put(_Write(sql, values, done))
        return done

    def send(self, sql: str, values: Sequence[Any]) -> None:
        """Queue one statement that nobody waits for."""
        self._put(_Write(sql, values, None))

    def write(self, sql: str, values: Sequence[Any]) -> "asyncio.Future[None]":
        """Queue one statement; the future, of the running loop, is done after its commit.

        Raises: StorageError, from the future, when the file cannot be written.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._put(_Write(sql, values, done, loop))
        return done

    @property
    def is_behind(self) -> bool:
        """Whether so much is queued that who writes more should wait, lest memory grow."""
        return self._queue.qsize() > 2 * MOST_PER_COMMIT

    def _put(self, item: _Write) -> None:
        if self._closed:
            raise StorageError(f"{self.path} was closed already")
        self._queue.put(item)

    def close(self) -> None:
        """Commit what is queued and close the file."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._connection.close()
        with self._reads:
            self._reader.close()

    def _run(self) -> None:
        open_ = True
        while open_:
            taken = self._next_batch()
            open_ = None not in taken
            # A write whose waiter was cancelled is made all the same: it records money.
            batch = [item for item in taken if item is not None]
            if batch:
                self._settle(batch)
                _report(batch)

    def _next_batch(self) -> list[_Write | None]:
        batch = [self._queue.get()]
        while len(batch) < MOST_PER_COMMIT:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _settle(self, batch: list[_Write]) -> None:
        try:
            _patiently(lambda: self._commit(batch))
        except (sqlite3.Error, ValueError, OverflowError) as exc:
            if len(batch) > 1:
                # One bad statement must not take the others with it.
                for item in batch:
                    self._settle([item])
                return
            batch[0].problem = storage_error(self.path, exc)

    def _commit(self, batch: list[_Write]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for item in batch:
                self._connection.execute(item.sql, item.values)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


def storage_error(path: Path, exc: Exception) -> StorageError:
    """What to tell about a file that cannot be read or written, with what to do."""
    folder, text = path.parent, str(exc)
    # SQLite maps a file that it could not make long enough, and calls that an I/O error.
    no_room = "disk I/O" in text and shutil.disk_usage(folder).free < SHARED_MEMORY_BYTES
    if "full" in text or "No space" in text or no_room:
        fix = f"No space is left on the disk of {folder}. Free some and run again"
    elif isinstance(exc, OSError) or "readonly" in text or "unable to open" in text:
        fix = f"Nothing can be written in {folder}. Make it writable or choose another folder"
    elif "not a database" in text or "malformed" in text:
        fix = "It is damaged or no SQLite file. Move it away and run again"
    elif "locked" in text or "busy" in text:
        fix = "Another process has held it for too long. Stop that one and run again"
    else:
        fix = f"Check the disk of {folder} and run again"
    return StorageError(f"{path}: {text}. {fix}; what was committed is safe.")


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, beside the process that may be writing the file.

    Raises: StorageError when it cannot be read.
    """
    try:
        with closing(_open_to_read(path)) as connection:
            yield connection
    except sqlite3.Error as exc:
        raise storage_error(path, exc) from exc


def _open_to_read(path: Path) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=LOCK_WAIT_S)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        return connection
    except sqlite3.OperationalError:
        connection.close()
        if os.access(path.parent, os.W_OK):
            raise
    # On a read-only disk WAL cannot be read the usual way; nobody writes there either.
    return sqlite3.connect(f"{address}&immutable=1", uri=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _patiently(act: Any) -> None:
    """Run it again while another process holds the file: some locks skip SQLite's own waiting."""
    end = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            act()
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) and "busy" not in str(exc):
                raise
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


def _report(batch: list[_Write]) -> None:
    """Tell every waiter; those of one event loop are woken together, which is far cheaper."""
    loops: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
    for item in batch:
        if item.loop is not None:
            loops.setdefault(item.loop, []).append(item)
        elif isinstance(item.done, Future) and item.done.set_running_or_notify_cancel():
            _finish(item)
    for loop, items in loops.items():
        # A loop that was closed meanwhile has nobody left who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_finish_all, items)


def _finish_all(items: list[_Write]) -> None:
    for item in items:
        if item.done is not None and not item.done.done():
            _finish(item)


def _finish(item: _Write) -> None:
    assert item.done is not None
    if item.problem is None:
        item.done.set_result(None)
    else:
        item.done.set_exception(item.problem)
