"""Sends batches, looks at them until they end, and keeps what came.

intended (in the store) -> created (with our mark in its metadata) -> ended (results kept)
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from teachers.batch_tables import Batch, BatchTables
from teachers.errors import TeacherError
from teachers.openai_batches import OpenAIBatches, RemoteBatch

MOST_REQUESTS = 50_000
MOST_BYTES = 190_000_000
"""OpenAI takes 50,000 requests and 200 MB a file."""
POLL_S = 60.0
"""The longest pause between two looks; the first ones are shorter."""
QUIET_S = 0.05
"""So long without a further ask ends the gathering."""
TELL_S = 600.0
"""A batch's state is told when it changes, and this often."""
TRIES = 6
QUEUE_FULL = "token_limit_exceeded"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Queued:
    """One line of a request file."""

    line: bytes
    tokens: int


@dataclass(slots=True)
class _Running:
    batch: Batch
    requests: dict[str, Queued]
    """What can be sent again; empty for a batch of an earlier run."""
    said: str = ""
    said_at: float = 0.0


class BatchRunner:
    """The batches of one account and model."""

    def __init__(
        self,
        api: OpenAIBatches,
        tables: BatchTables,
        endpoint: str,
        *,
        tell: Callable[[str], None],
        quick_s: float,
        token_limit: int | None,
    ) -> None:
        self._api, self._tables, self._endpoint = api, tables, endpoint
        self._tell = tell
        self._quick_s = quick_s
        self._token_limit = token_limit
        self._queue: dict[str, Queued] = {}
        self._waiting: dict[str, asyncio.Future[str]] = {}
        self._running: dict[str, _Running] = {}
        self._pump: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._adopted = False
        self.is_refused = False
        """The server takes no batches."""

    def holds(self, key: str) -> bool:
        """Whether the key is in a batch that has not ended, or has a result not delivered yet."""
        return self._tables.batch_of(key) is not None or self._tables.result(key) is not None

    async def result(self, key: str, queued: Callable[[], Queued]) -> str:
        """The result (JSON) of a key; sent with what `queued` makes unless it is under way.

        Raises: TeacherError where no batch could be made of it.
        """
        if (found := self._tables.result(key)) is not None:
            return found[1]
        if (waiting := self._waiting.get(key)) is None:
            waiting = self._waiting[key] = asyncio.get_running_loop().create_future()
            if self._tables.batch_of(key) is None:
                self._queue[key] = queued()
            self._start()
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if self._queue.pop(key, None) is not None:
                self._waiting.pop(key, None)
            raise

    def delivered(self, key: str) -> None:
        """The result is on record elsewhere."""
        if (found := self._tables.result(key)) is not None:
            self._tables.take(found[0], key)

    async def close(self) -> None:
        """Stop looking; what was sent goes on."""
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        await self._api.close()

    def _start(self) -> None:
        self._news.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.create_task(self._run())
            self._pump.add_done_callback(self._ended)

    def _ended(self, pump: "asyncio.Task[None]") -> None:
        if pump.cancelled():
            return
        if (error := pump.exception()) is not None:
            # Whatever ends the work must reach those who wait for it.
            self._fail(list(self._waiting), error)
            self._queue.clear()
            self._running.clear()
            self._adopted = False
        elif self._queue:
            self._start()

    async def _run(self) -> None:
        if not self._adopted:
            await self._adopt()
        pause = self._quick_s
        while self._queue or self._running:
            self._news.clear()
            if self._queue:
                await self._gathered()
                await self._send()
            changed = await self._look()
            pause = self._quick_s if changed else min(POLL_S, pause * 1.5)
            if self._running and not changed:
                await self._rest(pause)

    async def _gathered(self) -> None:
        """Return when no further ask has come for a moment, or enough of them for a batch."""
        before = -1
        while before != len(self._queue) < MOST_REQUESTS:
            before = len(self._queue)
            await asyncio.sleep(max(QUIET_S, self._quick_s / 2))

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return

    async def _adopt(self) -> None:
        """Take up what an earlier process sent, also where it died before it heard of it."""
        for batch in self._tables.open():
            remote = batch.remote
            if remote is None:
                if batch.is_owned:
                    continue
                found = await self._patiently(lambda mark=batch.id: self._api.find(mark))  # type: ignore[misc]
                if found is None:
                    await self._tables.forget(batch.id)
                    continue
                remote = found.id
                await self._tables.created(batch.id, remote)
            self._running[remote] = _Running(batch, {})
            self._tell(f"batch {remote} of an earlier run is taken up")
        self._adopted = True

    async def _send(self) -> None:
        """Send what waits in as many batches as the limits ask for and allow."""
        while self._queue and (keys := self._next_part()):
            part = {key: self._queue.pop(key) for key in keys}
            tokens = sum(item.tokens for item in part.values())
            batch = await self._tables.intend(keys, tokens)
            try:
                remote = await self._create(batch, [item.line for item in part.values()])
            except TeacherError as exc:
                await self._tables.forget(batch.id)
                self.is_refused = self.is_refused or exc.kind == "bad_request"
                self._fail(keys, exc)
                continue
            await self._tables.created(batch.id, remote.id)
            self._running[remote.id] = _Running(batch, part)

    def _next_part(self) -> list[str]:
        """The keys of the next batch; none while the account's queue is full."""
        tokens = sum(one.batch.tokens for one in self._running.values())
        keys: list[str] = []
        size = 0
        for key, item in self._queue.items():
            over = self._token_limit is not None and tokens + item.tokens > self._token_limit
            full = len(keys) == MOST_REQUESTS or size + len(item.line) > MOST_BYTES
            # What is too large by itself is sent when it is alone: the server may think otherwise.
            if full or (over and (keys or self._running)):
                break
            keys.append(key)
            size += len(item.line) + 1
            tokens += item.tokens
        return keys

    async def _create(self, batch: Batch, lines: list[bytes]) -> RemoteBatch:
        tried = False

        async def once() -> RemoteBatch:
            nonlocal tried
            # An earlier try may have arrived although its answer did not.
            found = await self._api.find(batch.id) if tried else None
            tried = True
            return found or await self._api.create(lines, self._endpoint, batch.id)

        return await self._patiently(once)

    async def _patiently(self, act: Callable[[], Awaitable[_T]]) -> _T:
        for attempt in range(TRIES):
            try:
                return await act()
            except TeacherError as exc:
                if not exc.retryable or attempt + 1 == TRIES:
                    raise
                await asyncio.sleep(exc.retry_after_s or self._quick_s * 2.0**attempt)
        raise AssertionError("the last try returns or raises")

    async def _look(self) -> bool:
        """Ask after every batch; whether one has ended."""
        ended = False
        for name, running in list(self._running.items()):
            try:
                remote = await self._api.read(name)
            except TeacherError as exc:
                if not exc.retryable:
                    raise
                self._tell(f"batch {name}: {exc}")
                continue
            self._say(running, remote)
            if remote.is_ended:
                ended = await self._take_in(running, remote) or ended
        return ended

    def _say(self, running: _Running, remote: RemoteBatch) -> None:
        total = remote.total or running.batch.requests
        state = f"{remote.status}, {remote.finished} of {total} done"
        if state == running.said and time.monotonic() - running.said_at < TELL_S:
            return
        running.said, running.said_at = state, time.monotonic()
        age = (datetime.now(UTC) - running.batch.at).total_seconds()
        self._tell(f"batch {remote.id}: {state}, {_age(age)} old")

    async def _take_in(self, running: _Running, remote: RemoteBatch) -> bool:
        """Keep the results of a batch that has ended, and tell those who wait for them."""
        batch = running.batch
        full = any(code == QUEUE_FULL for code, _ in remote.faults)
        if full and len(running.requests) > 1:
            await self._smaller(running)
            self._running.pop(remote.id)
            return True
        try:
            found = await self._patiently(lambda: self._api.results(remote.files))
        except TeacherError as exc:
            if not exc.retryable:
                raise
            return False  # read again at the next look
        missing = json.dumps({"error": _why_missing(remote)})
        results = {key: found.get(key, missing) for key in self._tables.keys(batch.id)}
        await self._tables.ended(batch.id, remote.status, results)
        self._running.pop(remote.id)
        for key, result in results.items():
            if (waiting := self._waiting.pop(key, None)) is not None and not waiting.done():
                waiting.set_result(result)
        return True

    async def _smaller(self, running: _Running) -> None:
        """Send a batch again in parts, where the account's queue was too full for it."""
        self._token_limit = max(1, running.batch.tokens // 2)
        self._tell(
            f"the account's batch queue is full; at most {self._token_limit} tokens are queued "
            "from now on (batch_tokens sets this)"
        )
        await self._tables.forget(running.batch.id)
        self._queue |= running.requests

    def _fail(self, keys: list[str], error: BaseException) -> None:
        for key in keys:
            if (waiting := self._waiting.pop(key, None)) is not None and not waiting.done():
                waiting.set_exception(error)


def _why_missing(remote: RemoteBatch) -> dict[str, object]:
    """What stands for the result of a request that the files do not hold."""
    if remote.status == "failed":
        told = "; ".join(f"{code}: {message}" for code, message in remote.faults[:3])
        return {"code": "failed", "message": told or "no reason was given", "is_final": True}
    message = f"the batch {remote.status} without a result for this request"
    code = "batch_cancelled" if remote.status == "cancelled" else remote.status
    return {"code": code, "message": message}


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
