"""What is known of batches, in the store's file: intents first, so that no crash loses one."""

import os
import socket
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from teachers.writer import Writer

BATCHES = """
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, owner TEXT NOT NULL, remote TEXT,
    status TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,
    at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch_items (
    batch TEXT NOT NULL, key TEXT NOT NULL, result TEXT, taken INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (batch, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batch_items_by_key ON batch_items (key);
"""


FOREIGN = timedelta(hours=1)
"""How long a process of another machine is given to create the batch that it intended."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch whose end is not known yet."""

    id: str
    """Our own, which travels in the batch's metadata."""
    remote: str | None
    """The server's; None where nobody saw it answer to the creation."""
    requests: int
    tokens: int
    at: datetime
    owner: str = ""
    """Host and process that made it."""

    @property
    def is_owned(self) -> bool:
        """Whether the process that made it may still be at work on it, this one not counted."""
        host, _, process = self.owner.rpartition(":")
        if host != socket.gethostname():
            return datetime.now(UTC) - self.at < FOREIGN
        return int(process) != os.getpid() and _is_alive(int(process))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class BatchTables:
    """The batches of one account."""

    def __init__(self, writer: "Writer", account: str) -> None:
        self._writer = writer
        self._account = account

    async def intend(self, keys: Sequence[str], tokens: int) -> Batch:
        """Write down that these keys are about to be sent together; nothing is sent before."""
        made = Batch(uuid.uuid4().hex, None, len(keys), tokens, datetime.now(UTC), _me())
        rows = [self._writer.write(
            "INSERT INTO batches (id, account, owner, status, requests, tokens, at)"
            " VALUES (?, ?, ?, 'intended', ?, ?, ?)",
            (made.id, self._account, made.owner, made.requests, tokens, made.at.isoformat()),
        )]  # fmt: skip
        sql = "INSERT INTO batch_items (batch, key) VALUES (?, ?)"
        rows += [self._writer.write(sql, (made.id, key)) for key in keys]
        for row in rows:
            await row
        return made

    async def created(self, batch: str, remote: str) -> None:
        """The server knows the batch under this name."""
        sql = "UPDATE batches SET remote = ?, status = 'created' WHERE id = ?"
        await self._writer.write(sql, (remote, batch))

    async def forget(self, batch: str) -> None:
        """The batch was never created: its keys are free to be sent."""
        await self._writer.write("DELETE FROM batch_items WHERE batch = ?", (batch,))
        await self._writer.write("DELETE FROM batches WHERE id = ?", (batch,))

    async def ended(self, batch: str, status: str, results: Mapping[str, str]) -> None:
        """Keep each key's result (JSON); only then is the batch done."""
        sql = "UPDATE batch_items SET result = ? WHERE batch = ? AND key = ? AND result IS NULL"
        rows = [self._writer.write(sql, (result, batch, key)) for key, result in results.items()]
        for row in rows:
            await row
        sql = "UPDATE batches SET done = 1, status = ? WHERE id = ?"
        await self._writer.write(sql, (status, batch))

    def open(self) -> list[Batch]:
        """The batches of this account that are not done, oldest first."""
        rows = self._writer.rows(
            "SELECT id, remote, requests, tokens, at, owner FROM batches"
            " WHERE account = ? AND done = 0 ORDER BY at, id",
            (self._account,),
        )
        return [
            Batch(id_, remote, requests, tokens, datetime.fromisoformat(at), owner)
            for id_, remote, requests, tokens, at, owner in rows
        ]

    def keys(self, batch: str) -> list[str]:
        """What was sent in a batch."""
        sql = "SELECT key FROM batch_items WHERE batch = ? ORDER BY key"
        return [row[0] for row in self._writer.rows(sql, (batch,))]

    def result(self, key: str) -> tuple[str, str] | None:
        """A result that nobody has taken yet, with its batch."""
        rows = self._writer.rows(
            "SELECT batch, result FROM batch_items"
            " WHERE key = ? AND taken = 0 AND result IS NOT NULL",
            (key,),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    def batch_of(self, key: str) -> str | None:
        """The batch, not done, that this key was sent in."""
        rows = self._writer.rows(
            "SELECT batch FROM batch_items JOIN batches ON batches.id = batch"
            " WHERE key = ? AND done = 0 AND account = ?",
            (key, self._account),
        )
        return rows[0][0] if rows else None

    def take(self, batch: str, key: str) -> None:
        """The answer is in the store, or its failure was told: the result is not needed again."""
        sql = "UPDATE batch_items SET taken = 1, result = NULL WHERE batch = ? AND key = ?"
        self._writer.send(sql, (batch, key))
