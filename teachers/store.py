"""Every answer that was ever paid for, by key, shared by all runs of a project.

Failures, truncations and content-filter stops are recorded too but never served as answers (except
a truncated one to an ask that allows it). The first usable answer to a key stays for good, so two
processes that asked at the same time agree on it afterwards.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from teachers.batch_tables import BATCHES
from teachers.config import TeacherConfig
from teachers.errors import FailureKind
from teachers.protocol import Answer, Finish, TokenLogprob, Usage
from teachers.writer import Writer

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key TEXT PRIMARY KEY,
    teacher_kind TEXT NOT NULL, teacher_model TEXT, teacher_identity TEXT,
    failure TEXT, message TEXT,
    finish TEXT, text TEXT, reasoning TEXT, logprobs TEXT, choice_logp TEXT,
    input_tokens INTEGER, output_tokens INTEGER, model TEXT, at TEXT NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS = (
    "key, teacher_kind, teacher_model, teacher_identity, failure, message, finish, text, reasoning,"
    " logprobs, choice_logp, input_tokens, output_tokens, model, at"
)
# A usable answer is never replaced; a truncated one only by a usable one.
_PUT = f"""
INSERT INTO answers ({_COLUMNS}) VALUES ({", ".join("?" * 15)})
ON CONFLICT (key) DO UPDATE SET {
    ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in _COLUMNS.split(",")[1:])
}
WHERE answers.failure IS NOT NULL
  AND NOT (answers.failure = 'truncated' AND excluded.failure IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known about one key."""

    answer: Answer | None
    """What came back; None where nothing did."""
    failure: FailureKind | None = None
    message: str | None = None

    def usable(self, allow_truncated: bool) -> Answer | None:
        """The answer, if it may be served."""
        served = self.failure is None or (self.failure == "truncated" and allow_truncated)
        return self.answer if served else None


class Store:
    """The answers in one SQLite file, which several processes may share."""

    def __init__(self, path: str | Path) -> None:
        self._writer = Writer(path, _SCHEMA + BATCHES)
        self.path = self._writer.path

    def get(self, key: str) -> Record | None:
        """What is known about this key, None when it was never asked."""
        rows = self._writer.rows(f"SELECT {_COLUMNS} FROM answers WHERE key = ?", (key,))
        return _record(rows[0]) if rows else None

    async def put(self, key: str, config: TeacherConfig, record: Record) -> Record:
        """Keep this record and return, after the commit, the one that stands under the key."""
        await self._writer.write(_PUT, _row(key, config, record))
        return self.get(key) or record

    def in_batch(self, key: str) -> bool:
        """Whether this key was sent in a batch whose end nobody has read yet."""
        sql = "SELECT 1 FROM batch_items WHERE key = ? AND taken = 0"
        return bool(self._writer.rows(sql, (key,)))

    @property
    def writer(self) -> Writer:
        """The file, for the tables of `teachers.batch_store` that lie in it."""
        return self._writer

    def counts(self) -> Mapping[str, int]:
        """How many keys have an answer ("answer") and how many a failure of each kind."""
        sql = "SELECT coalesce(failure, 'answer'), count(*) FROM answers GROUP BY 1 ORDER BY 1"
        return dict(cast("list[tuple[str, int]]", self._writer.rows(sql)))

    def close(self) -> None:
        """Commit what is queued and close the file."""
        self._writer.close()


def _row(key: str, config: TeacherConfig, record: Record) -> tuple[Any, ...]:
    answer = record.answer
    who = (config.kind, getattr(config, "model", None), config.identity)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if answer is None:
        return (key, *who, record.failure, record.message, *([None] * 8), at)
    return (
        key, *who, record.failure, record.message,
        answer.finish, answer.text, answer.reasoning,
        None if answer.logprobs is None else _tokens_json(answer.logprobs),
        None if answer.choice_logp is None else json.dumps(dict(answer.choice_logp)),
        answer.usage.input_tokens, answer.usage.output_tokens, answer.model, at,
    )  # fmt: skip


def _tokens_json(tokens: tuple[TokenLogprob, ...]) -> str:
    return json.dumps([[item.token, item.logp, item.top] for item in tokens])


def _record(row: tuple[Any, ...]) -> Record:
    (
        failure,
        message,
        finish,
        text,
        reasoning,
        logprobs,
        choice_logp,
        tokens_in,
        tokens_out,
        model,
    ) = row[4:14]
    if text is None:
        return Record(None, failure, message)
    answer = Answer(
        text=text,
        finish=cast("Finish", finish),
        usage=Usage(tokens_in, tokens_out),
        model=model,
        reasoning=reasoning,
        logprobs=None if logprobs is None else _tokens(json.loads(logprobs)),
        choice_logp=None if choice_logp is None else json.loads(choice_logp),
    )
    return Record(answer, failure, message)


def _tokens(items: list[Any]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(token, logp, tuple((name, value) for name, value in top))
        for token, logp, top in items
    )
