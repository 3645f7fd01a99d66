"""The gateway before every adapter: one `ask`, stored, capped, paced, retried and checked.

    store -> share an identical ask in flight -> a place in flight -> pace -> reserve -> adapter
          -> check -> store -> give the place on -> settle           (or a place in a batch)

A call that was paid for is finished and stored even when nobody waits for it any more.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from teachers import effective
from teachers.budget import Budget, Reservation
from teachers.check import check_answer, corrected
from teachers.config import OpenAITeacher, Price, TeacherConfig
from teachers.errors import (
    AuthError,
    ConfigError,
    FailureKind,
    IgnoredError,
    TeacherError,
)
from teachers.keys import Keys
from teachers.known import Known, look_up
from teachers.limits import Limits
from teachers.prices import PRICE_SHARE, cost_usd, price_of
from teachers.protocol import Answer, Ask, Teacher
from teachers.retry import REASKS, TRIES, Patience
from teachers.served import ServedModel
from teachers.store import Record, Store
from teachers.trip import Flight, Trip

if TYPE_CHECKING:
    from teachers.batch import BatchDesk

GRACE_S = 5.0


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
        limits: Limits | None = None,
        tell: Callable[[str], None] | None = None,
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
        self._keys = Keys(self._config)
        self._flights: dict[tuple[str, bool], Flight] = {}
        self._own = Limits(config.concurrency)
        self._limits = limits or Limits(config.concurrency, config.rpm, config.tpm)
        self._limits.allow(config.concurrency)
        self._stopped: TeacherError | None = None
        self._down = False
        self._tell = tell
        self._told: set[str] = set()
        self._batch = self._desk()
        for hook, listener in (("tell", self._say), ("told", self._limits.told)):
            if hasattr(adapter, hook):
                setattr(adapter, hook, listener)
        self._served = ServedModel(adapter, config, name, self._say)
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
        key = self._keys.key(ask)
        known = look_up(self._store, self._keys, ask, key, self._attempts(), self._retry_failed)
        if known.answer is not None:
            await self._served.before_reuse(known.answer)
            return await self._free(key, known.answer)
        if known.over and known.last is not None and known.last.failure is not None:
            raise TeacherError(known.last.failure, known.last.message or known.last.failure)
        self._stop_if_refused(ask)
        flight, joined = self._board(ask, key, known)
        assert flight.task is not None
        flight.waiting += 1
        try:
            answer = await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            # Stopped before anything was sent: nothing is lost by giving up.
            if not flight.waiting and not flight.sent:
                flight.task.cancel()
        return await self._free(key, answer) if joined else answer

    def stored(self, ask: Ask) -> Answer | None:
        """The answer that the store holds for this ask, None where it has none; nothing is sent."""
        key = self._keys.key(ask)
        known = look_up(self._store, self._keys, ask, key, self._attempts(), self._retry_failed)
        return known.answer

    async def close(self) -> None:
        """Wait a moment for calls in flight, then give back what the adapter holds."""
        tasks = [flight.task for flight in self._flights.values() if flight.task]
        if tasks:
            # A batch goes on without us; only what answers soon is worth waiting for.
            _, late = await asyncio.wait(tasks, timeout=0 if self._batch else GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._batch is not None:
            await self._batch.close()
        await self._adapter.close()

    def _desk(self) -> "BatchDesk | None":
        config = self._config
        if self._store is None or not isinstance(config, OpenAITeacher) or config.mode == "online":
            return None
        from teachers.batch import BatchDesk
        from teachers.openai_api import OpenAIAdapter

        if not isinstance(self._adapter, OpenAIAdapter):
            return None
        return BatchDesk(
            self._adapter, config, self._name, self._store.writer,
            tell=self._say, quick_s=self._backoff_s,
        )  # fmt: skip

    def _say(self, text: str) -> None:
        """Tell each thing once; a batch's state changes its words."""
        if self._tell is not None and text not in self._told:
            self._told.add(text)
            self._tell(text)

    def _attempts(self) -> int:
        # Without a reminder in the prompt and without chance, the same words come back.
        hopeless = getattr(self._config, "chat", None) is False and not self._config.temperature
        return 1 if hopeless else 1 + REASKS

    async def _free(self, key: str, answer: Answer) -> Answer:
        if self._budget is not None:
            await self._budget.stored(key=key, teacher=self._name, usage=answer.usage)
        return replace(answer, stored=True, cost_usd=0.0)

    def _board(self, ask: Ask, first: str, known: Known) -> tuple[Flight, bool]:
        """The flight that answers this ask, and whether somebody else had started it."""
        key = (first, ask.allow_truncated)
        if (found := self._flights.get(key)) is not None:
            return found, True
        flight = self._flights[key] = Flight()
        flight.task = asyncio.create_task(self._answer(ask, first, known, flight))

        def landed(task: "asyncio.Task[Answer]") -> None:
            self._flights.pop(key, None)
            if not task.cancelled():
                task.exception()  # looked at, so that an abandoned failure is not reported as lost

        flight.task.add_done_callback(landed)
        return flight, False

    async def _answer(self, ask: Ask, first: str, known: Known, flight: Flight) -> Answer:
        """A usable answer, after corrective re-asks where the first could not be used."""
        last, attempts = known.last, self._attempts()
        for attempt in range(known.attempt, attempts):
            asked = ask
            if last is not None and last.answer is not None and _is_chat(self._config):
                asked = corrected(ask, last.answer.text, last.message or "")
            try:
                key = self._keys.key(ask, attempt) if attempt else first
                return await self._fetch(asked, key, flight)
            except TeacherError as exc:
                if exc.kind not in ("parse", "schema") or attempt + 1 == attempts:
                    raise
                last = Record(exc.answer, exc.kind, str(exc))
        raise AssertionError("an ask has at least one attempt")

    async def _fetch(self, ask: Ask, key: str, flight: Flight) -> Answer:
        """One answer, paid for and kept, after the retries that each kind of failure allows."""
        patience = Patience(self._backoff_s, 1 if self._down else TRIES)
        while True:
            trip = Trip(key)
            trip.is_batch = self._batch is not None and await self._batch.takes(key)
            try:
                if trip.is_batch:
                    pause = await self._attempt(ask, trip, flight, patience)
                else:
                    # Places first: a reservation in the queue would keep the budget from those in
                    # flight. Held until the answer is stored, so that a kill loses no more answers
                    # than there are places, however slow the disk.
                    async with self._own, self._limits:
                        pause = await self._attempt(ask, trip, flight, patience)
                if pause is None:
                    return await self._deliver(trip)
            finally:
                flight.sent = False
            if not flight.waiting:
                raise asyncio.CancelledError
            await asyncio.sleep(pause)

    async def _attempt(
        self, ask: Ask, trip: Trip, flight: Flight, patience: Patience
    ) -> float | None:
        """Send once and store what came back; seconds to the next try, None after an answer."""
        try:
            await self._travel(ask, trip, flight)
            await self._keep(ask, trip)
        except TeacherError as exc:
            if not trip.sent_at:
                raise
            self.failures[exc.kind] += 1
            pause = await self._failed(exc, trip, patience)
            if pause is None:
                raise
            return pause
        except BaseException:
            self._abandon(trip)
            raise
        return None

    async def _travel(self, ask: Ask, trip: Trip, flight: Flight) -> None:
        """Send the ask once, when its turn comes, and check what came back."""
        bound = effective.input_bound(self._config, ask)
        limit = effective.max_tokens(self._config, ask)
        if self._batch is not None and trip.is_batch:
            self._stop_if_refused(ask)
            trip.call = await self._reserve(trip, bound, limit)
            trip.sent_at = time.monotonic()
            trip.answer = check_answer(ask, await self._batch.ask(ask, trip.key))
            return
        guess = bound // 4
        await self._limits.admit(guess, limit)
        self._stop_if_refused(ask)
        trip.call = await self._reserve(trip, bound, limit)
        trip.sent_at, flight.sent = time.monotonic(), True
        trip.answer = await self._send(ask)
        used = trip.answer.usage
        self._limits.used(guess - used.input_tokens, limit - used.output_tokens)
        self._limits.answered()

    async def _send(self, ask: Ask) -> Answer:
        try:
            answer = await self._adapter.ask(ask)
        except asyncio.CancelledError:
            raise
        except TeacherError as exc:
            # Before this place is given to the next ask.
            if isinstance(exc, AuthError | IgnoredError):
                self._stopped = exc
            raise
        except Exception as exc:
            if self._config.kind != "custom":
                raise
            raise TeacherError("user_code", f"{type(exc).__name__}: {exc}") from exc
        return check_answer(ask, answer)

    async def _reserve(self, trip: Trip, bound: int, limit: int) -> Reservation | None:
        if self._budget is None:
            return None
        price = self._price if not trip.is_batch else _shared(self._price, PRICE_SHARE)
        return await self._budget.reserve(
            key=trip.key, teacher=self._name, price=price, input_tokens=bound, output_tokens=limit
        )

    async def _keep(self, ask: Ask, trip: Trip) -> None:
        """Store the answer; what stands in the store then may be another process's."""
        self._down = False
        answer = trip.arrived
        self._served.answered(answer)
        if self._store is not None:
            failure: FailureKind | None = "truncated" if answer.finish == "length" else None
            record = await self._store.put(trip.key, self._config, Record(answer, failure))
            trip.kept = record.usable(ask.allow_truncated)

    async def _deliver(self, trip: Trip) -> Answer:
        """The answer with its cost, once it is counted."""
        try:
            cost = await self._settle(trip, trip.arrived)
        except BaseException:
            self._abandon(trip)
            raise
        self._delivered(trip)
        return replace(trip.kept or trip.arrived, cost_usd=cost)

    async def _settle(self, trip: Trip, answer: Answer) -> float | None:
        usage, call = answer.usage, trip.call
        if self._budget is None or call is None:
            price = self._price if not trip.is_batch else _shared(self._price, PRICE_SHARE)
            return cost_usd(price, usage.input_tokens, usage.output_tokens)
        if usage.input_tokens > call.input_tokens or usage.output_tokens > call.output_tokens:
            self._say(
                f"teachers.{self._name}: an answer used more tokens ({usage.input_tokens} in, "
                f"{usage.output_tokens} out) than were set aside for it ({call.input_tokens} in, "
                f"{call.output_tokens} out); it is counted in full, and at a cap nothing more is "
                "asked"
            )
        return await self._budget.settle(call, usage)

    def _delivered(self, trip: Trip) -> None:
        if self._batch is not None and trip.is_batch:
            self._batch.delivered(trip.key)

    def _abandon(self, trip: Trip) -> None:
        """End a trip that nobody waits for; what lies in a batch is taken up by the next run."""
        if self._budget is None or trip.call is None:
            return
        if self._batch is not None and trip.is_batch and self._batch.holds(trip.key):
            return
        self._budget.abandon(trip.call, billed=bool(trip.sent_at) and not trip.is_batch)

    async def _failed(self, error: TeacherError, trip: Trip, patience: Patience) -> float | None:
        """Account for a failed attempt; seconds to the next one, None when this was the last."""
        pause = patience.pause_s(error)
        if self._budget is not None and trip.call is not None:
            # First of all: a reservation that nobody ends would block the others for ever.
            if error.answer is not None:
                await self._settle(trip, error.answer)
            elif error.maybe_billed:
                self._budget.abandon(trip.call, billed=True)
            else:
                await self._budget.refund(trip.call)
        if error.kind == "rate_limit" and pause is not None and not trip.is_batch:
            # The limit is the account's, so every ask of this teacher waits.
            self._limits.refused(trip.sent_at, pause)
            self._delivered(trip)
            return 0.0
        if pause is not None:
            self._delivered(trip)
            return pause
        if isinstance(error, AuthError | IgnoredError):
            self._stopped = error
        if not isinstance(error, AuthError) and self._store is not None:
            record = Record(error.answer, error.kind, str(error))
            await self._store.put(trip.key, self._config, record)
        self._delivered(trip)
        # A dead server is probed once per ask, not six times, until it answers again.
        self._down = self._down or error.kind == "network"
        return None

    def _stop_if_refused(self, ask: Ask) -> None:
        error = self._stopped
        if error is None:
            return
        if isinstance(error, IgnoredError) and not effective.top_logprobs(self._config, ask):
            return
        raise type(error)(*error.args)


def _shared(price: Price | None, share: float) -> Price | None:
    return price and Price(input=price.input * share, output=price.output * share)


def _is_chat(config: TeacherConfig) -> bool:
    return getattr(config, "chat", None) is not False


def _identified(config: TeacherConfig, adapter: Teacher) -> TeacherConfig:
    """The settings with what the adapter says about itself, such as a digest of its weights."""
    found = getattr(adapter, "identity", None)
    if config.identity is not None or not isinstance(found, str):
        return config
    return config.model_copy(update={"identity": found})
