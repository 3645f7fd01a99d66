"""The gateway before every adapter: one `ask`, stored, capped, paced, retried and checked.

    store -> share an identical ask in flight -> concurrency -> pace -> reserve -> adapter -> check
          -> store -> settle

A call that was paid for is finished and stored even when nobody waits for it any more.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import NamedTuple

from teachers import effective
from teachers.budget import Budget, Reservation
from teachers.check import check_answer, corrected
from teachers.config import TeacherConfig
from teachers.errors import PAID, ConfigError, FailureKind, TeacherError
from teachers.keys import ask_key
from teachers.limits import Limits
from teachers.prices import cost_usd, price_of
from teachers.protocol import Answer, Ask, Teacher
from teachers.retry import REASKS, TRIES, Patience
from teachers.store import Record, Store

GRACE_S = 5.0


@dataclass(slots=True)
class _Flight:
    """One ask on its way, and how many wait for it."""

    task: "asyncio.Task[Answer] | None" = None
    waiting: int = 0
    sent: bool = False


class _Known(NamedTuple):
    """What the store says about an ask: its answer, or where its re-asks stopped."""

    answer: Answer | None
    attempt: int = 0
    last: Record | None = None
    over: bool = False
    """`last` is a failure that is not asked again."""


class Gateway:
    """A teacher whose answers are never paid for twice and never pass the cap.

    Lives in one event loop at a time. Store and budget belong to the caller, who closes them.
    """

    def __init__(
        self,
        adapter: Teacher,
        config: TeacherConfig,
        *,
        name: str,
        store: Store | None = None,
        budget: Budget | None = None,
        backoff_s: float = 1.0,
        retry_failed: bool = False,
    ) -> None:
        self._adapter = adapter
        self._config = _identified(config, adapter)
        self._name = name
        self._store = store
        self._budget = budget
        self._backoff_s = backoff_s
        self._retry_failed = retry_failed
        self._price = price_of(config)
        if budget is not None and budget.caps.usd is not None and self._price is None:
            raise ConfigError(
                f"teachers.{name}: budget.usd is set but no price is known for this model. "
                f"Give `price: {{input: .., output: ..}}` in USD per million tokens "
                "(0 for a server of your own)"
            )
        self._flights: dict[tuple[str, bool], _Flight] = {}
        self._limits = Limits(config.rpm, config.tpm)
        self._gate: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None
        self._stopped: TeacherError | None = None
        self._down = False
        self.failures: Counter[str] = Counter()
        """Failed attempts by kind, those included that a retry made good."""

    @property
    def name(self) -> str:
        """The name that the recipe gives this teacher."""
        return self._name

    @property
    def config(self) -> TeacherConfig:
        """The settings that decide the store key."""
        return self._config

    async def ask(self, ask: Ask) -> Answer:
        """Answer one question, from the store where it was asked before.

        Raises: TeacherError, BudgetReached, StorageError.
        """
        known = self._look_up(ask)
        if known.answer is not None:
            return self._free(ask, known.answer)
        if known.over and known.last is not None and known.last.failure is not None:
            raise TeacherError(known.last.failure, known.last.message or known.last.failure)
        self._stop_if_refused()
        flight, joined = self._board(ask, known)
        assert flight.task is not None
        flight.waiting += 1
        try:
            answer = await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            # Stopped before anything was sent: nothing is lost by giving up.
            if not flight.waiting and not flight.sent:
                flight.task.cancel()
        return self._free(ask, answer) if joined else answer

    async def close(self) -> None:
        """Wait a moment for calls in flight, then give back what the adapter holds."""
        tasks = [flight.task for flight in self._flights.values() if flight.task]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._adapter.close()

    def _look_up(self, ask: Ask) -> _Known:
        if self._store is None:
            return _Known(None)
        last = None
        for attempt in range(self._attempts()):
            record = self._store.get(ask_key(self._config, ask, attempt))
            answer = record.usable(ask.allow_truncated) if record else None
            if answer is not None:
                return _Known(answer)
            if record is None:
                return _Known(None, attempt, last)
            if record.failure not in ("parse", "schema"):
                over = record.failure in PAID and not self._retry_failed
                return _Known(None, attempt, record if over else last, over)
            last = record
        # Every re-ask was used up in an earlier run.
        return _Known(None) if self._retry_failed else _Known(None, 0, last, over=True)

    def _attempts(self) -> int:
        # Without a reminder in the prompt and without chance, the same words come back.
        hopeless = getattr(self._config, "chat", None) is False and not self._config.temperature
        return 1 if hopeless else 1 + REASKS

    def _free(self, ask: Ask, answer: Answer) -> Answer:
        if self._budget is not None:
            key = ask_key(self._config, ask)
            self._budget.stored(key=key, teacher=self._name, usage=answer.usage)
        return replace(answer, stored=True, cost_usd=0.0)

    def _board(self, ask: Ask, known: _Known) -> tuple[_Flight, bool]:
        """The flight that answers this ask, and whether somebody else had started it."""
        key = (ask_key(self._config, ask), ask.allow_truncated)
        if (found := self._flights.get(key)) is not None:
            return found, True
        flight = self._flights[key] = _Flight()
        flight.task = asyncio.create_task(self._answer(ask, known, flight))

        def landed(task: "asyncio.Task[Answer]") -> None:
            self._flights.pop(key, None)
            if not task.cancelled():
                task.exception()  # looked at, so that an abandoned failure is not reported as lost

        flight.task.add_done_callback(landed)
        return flight, False

    async def _answer(self, ask: Ask, known: _Known, flight: _Flight) -> Answer:
        """A usable answer, after corrective re-asks where the first could not be used."""
        last, attempts = known.last, self._attempts()
        for attempt in range(known.attempt, attempts):
            asked = ask
            if last is not None and last.answer is not None and _is_chat(self._config):
                asked = corrected(ask, last.answer.text, last.message or "")
            key = ask_key(self._config, ask, attempt)
            try:
                async with self._semaphore():
                    return await self._fetch(asked, key, flight)
            except TeacherError as exc:
                if exc.kind not in ("parse", "schema") or attempt + 1 == attempts:
                    raise
                last = Record(exc.answer, exc.kind, str(exc))
        raise AssertionError("an ask has at least one attempt")

    async def _fetch(self, ask: Ask, key: str, flight: _Flight) -> Answer:
        """One answer, paid for and kept, after the retries that each kind of failure allows."""
        bound = effective.input_bound(self._config, ask)
        limit = effective.max_tokens(self._config, ask)
        patience = Patience(self._backoff_s, 1 if self._down else TRIES)
        while True:
            guess = bound // 4 + limit
            await self._limits.admit(guess)
            self._stop_if_refused()
            call = await self._reserve(key, bound, limit)
            try:
                answer = await self._send(ask, flight)
                self._limits.used(guess, answer.usage.input_tokens + answer.usage.output_tokens)
                return await self._keep(key, ask, answer, call)
            except TeacherError as exc:
                self.failures[exc.kind] += 1
                pause = await self._failed(key, exc, call, patience)
                if pause is None:
                    raise
            except BaseException:
                if self._budget is not None and call is not None:
                    self._budget.abandon(call, billed=flight.sent)
                raise
            finally:
                flight.sent = False
            if not flight.waiting:
                raise asyncio.CancelledError
            await asyncio.sleep(pause)

    async def _send(self, ask: Ask, flight: _Flight) -> Answer:
        flight.sent = True
        try:
            answer = await self._adapter.ask(ask)
        except (TeacherError, asyncio.CancelledError):
            raise
        except Exception as exc:
            if self._config.kind != "custom":
                raise
            raise TeacherError("user_code", f"{type(exc).__name__}: {exc}") from exc
        return check_answer(ask, answer)

    async def _reserve(self, key: str, bound: int, limit: int) -> Reservation | None:
        if self._budget is None:
            return None
        return await self._budget.reserve(
            key=key, teacher=self._name, price=self._price, input_tokens=bound, output_tokens=limit
        )

    async def _keep(self, key: str, ask: Ask, answer: Answer, call: Reservation | None) -> Answer:
        """The answer as it stands in the store, which may be another process's."""
        self._down = False
        kept = answer
        if self._store is not None:
            failure: FailureKind | None = "truncated" if answer.finish == "length" else None
            record = await self._store.put(key, self._config, Record(answer, failure))
            kept = record.usable(ask.allow_truncated) or answer
        return replace(kept, cost_usd=await self._settle(answer, call))

    async def _settle(self, answer: Answer, call: Reservation | None) -> float | None:
        if self._budget is not None and call is not None:
            return await self._budget.settle(call, answer.usage)
        return cost_usd(self._price, answer.usage.input_tokens, answer.usage.output_tokens)

    async def _failed(
        self, key: str, error: TeacherError, call: Reservation | None, patience: Patience
    ) -> float | None:
        """Account for a failed attempt; seconds to the next one, None when this was the last."""
        pause = patience.pause_s(error)
        if self._budget is not None and call is not None:
            # First of all: a reservation that nobody ends would block the others for ever.
            if error.answer is not None:
                await self._budget.settle(call, error.answer.usage)
            elif error.maybe_billed:
                self._budget.abandon(call, billed=True)
            else:
                await self._budget.refund(call)
        if error.kind == "rate_limit" and pause is not None:
            # The limit is the account's, so every ask of this teacher waits.
            self._limits.pause(pause)
            return 0.0
        if pause is not None:
            return pause
        if error.kind == "auth":
            self._stopped = error
        elif self._store is not None:
            await self._store.put(key, self._config, Record(error.answer, error.kind, str(error)))
        # A dead server is probed once per ask, not six times, until it answers again.
        self._down = self._down or error.kind == "network"
        return None

    def _stop_if_refused(self) -> None:
        if self._stopped is not None:
            raise type(self._stopped)(*self._stopped.args)

    def _semaphore(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._gate is None or self._gate[0] is not loop:
            self._gate = (loop, asyncio.Semaphore(self._config.concurrency))
        return self._gate[1]


def _is_chat(config: TeacherConfig) -> bool:
    return getattr(config, "chat", None) is not False


def _identified(config: TeacherConfig, adapter: Teacher) -> TeacherConfig:
    """The settings with what the adapter says about itself, such as a digest of its weights."""
    found = getattr(adapter, "identity", None)
    if config.identity is not None or not isinstance(found, str):
        return config
    return config.model_copy(update={"identity": found})
