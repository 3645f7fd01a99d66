"""A spending cap that holds: reserve the worst case, then settle what it cost or refund.

Settled + reserved <= cap at every instant, over all teachers of a run and all its resumes, since
each step is committed before the next. `requests` counts asks that a teacher answered or may have
answered; one that was refused (429, 5xx, no connection) is refunded whole.
"""

import asyncio
import math
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from teachers.config import Price
from teachers.errors import BudgetReached
from teachers.protocol import Usage
from teachers.store import Store
from teachers.writer import Writer, reading

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spend (
    call_id TEXT PRIMARY KEY, key TEXT NOT NULL, teacher TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'settled', 'refunded', 'unknown', 'stored')),
    usd REAL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    reserved_usd REAL, reserved_tokens INTEGER NOT NULL,
    price_input REAL, price_output REAL, at TEXT NOT NULL
) WITHOUT ROWID;
"""
_INSERT = "INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE = (
    "UPDATE spend SET state = ?, usd = ?, input_tokens = ?, output_tokens = ? WHERE call_id = ?"
)

# Money is counted in whole pico-dollars: sums of floats would drift across the cap.
_PER_USD = 10**12


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that may be spent; None: no limit."""

    usd: float | None = None
    requests: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What was spent, so far and over all resumes."""

    usd: float | None
    """None where some answers have no known price."""
    requests: int
    input_tokens: int
    output_tokens: int
    stored_answers: int
    unknown: int
    """Calls whose end nobody saw (a crash, a time-out); counted at their worst case."""
    by_teacher: Mapping[str, "Totals"] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The shape of `cost` in report.json."""
        names = ("usd", "requests", "input_tokens", "output_tokens", "stored_answers", "unknown")
        shown: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.by_teacher:
            shown["by_teacher"] = {name: part.as_dict() for name, part in self.by_teacher.items()}
        return shown


@dataclass(frozen=True, slots=True)
class Reservation:
    """The worst case of one call that is in flight."""

    call_id: str
    key: str
    teacher: str
    price: Price | None
    input_tokens: int
    output_tokens: int

    @property
    def units(self) -> int:
        """Its money in pico-dollars."""
        return _units(self.price, self.input_tokens, self.output_tokens) or 0


@dataclass(slots=True)
class _Sum:
    """Running sums of one teacher."""

    units: int = 0
    unpriced: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    stored: int = 0
    unknown: int = 0

    def add(self, state: str, units: int | None, tokens_in: int, tokens_out: int) -> None:
        if state == "stored":
            self.stored += 1
            return
        self.requests += 1
        self.units += units or 0
        self.unpriced += units is None
        self.input_tokens += tokens_in
        self.output_tokens += tokens_out
        self.unknown += state == "unknown"

    def totals(self, parts: Mapping[str, "Totals"]) -> Totals:
        usd = None if self.unpriced else self.units / _PER_USD
        counts = (self.requests, self.input_tokens, self.output_tokens, self.stored, self.unknown)
        return Totals(usd, *counts, by_teacher=parts)


class Budget:
    """The ledger of one run in the SQLite file at `path`, and the caps over it."""

    def __init__(self, path: str | Path, caps: Caps, *, store: Store | None = None) -> None:
        self.caps = caps
        self._writer = Writer(path, _SCHEMA)
        self._lock = threading.Lock()
        self._sums: dict[str, _Sum] = {}
        self._open: dict[str, Reservation] = {}
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._recover(store)

    async def reserve(
        self, *, key: str, teacher: str, price: Price | None, input_tokens: int, output_tokens: int
    ) -> Reservation:
        """Set the worst case of one call aside; waits while calls in flight may still give back.

        Raises: BudgetReached when it would not fit even with nothing in flight.
        """
        call = uuid.uuid4().hex
        wanted = Reservation(call, key, teacher, price, input_tokens, output_tokens)
        while (waiter := self._take(wanted)) is not None:
            await waiter
        try:
            await self._writer.write(_INSERT, _row(wanted, "reserved"))
        except BaseException:
            self._finish(wanted, "refunded", None)
            raise
        return wanted

    async def settle(self, reservation: Reservation, usage: Usage) -> float | None:
        """Count what the call used and return its cost in USD, None without a price."""
        await asyncio.wrap_future(self._finish(reservation, "settled", usage))
        units = _units(reservation.price, usage.input_tokens, usage.output_tokens)
        return None if units is None else units / _PER_USD

    async def refund(self, reservation: Reservation) -> None:
        """Give a reservation back: the call was never answered."""
        await asyncio.wrap_future(self._finish(reservation, "refunded", None))

    def abandon(self, reservation: Reservation, *, billed: bool) -> None:
        """End a reservation at once, where nothing can be awaited: as spent, or given back."""
        self._finish(reservation, "unknown" if billed else "refunded", None)

    def stored(self, *, key: str, teacher: str, usage: Usage) -> None:
        """Count an answer that came from the store and cost nothing."""
        call = Reservation(
            uuid.uuid4().hex, key, teacher, None, usage.input_tokens, usage.output_tokens
        )
        with self._lock:
            self._sum(teacher).add("stored", 0, 0, 0)
        self._writer.submit(_INSERT, _row(call, "stored"))

    def totals(self) -> Totals:
        """What was spent so far, reservations not counted."""
        with self._lock:
            return _whole(self._sums)

    def close(self) -> None:
        """Commit what is queued and close the file."""
        self._writer.close()

    def _take(self, wanted: Reservation) -> "asyncio.Future[None] | None":
        """None when it fits and is taken, else what to wait for."""
        with self._lock:
            never = self._over(wanted, [])
            if never is not None:
                raise BudgetReached(*never)
            if self._over(wanted, list(self._open.values())) is None:
                self._open[wanted.call_id] = wanted
                return None
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, waiter))
            return waiter

    def _over(self, wanted: Reservation, held: list[Reservation]) -> tuple[str, str] | None:
        """Which cap this call would pass, and a sentence with the figures; None when it fits."""
        sums, caps = list(self._sums.values()), self.caps
        spent = sum(part.units for part in sums)
        units = spent + sum(call.units for call in held) + wanted.units
        if caps.usd is not None and units > math.floor(caps.usd * _PER_USD):
            return "usd", _reached(
                "usd", caps.usd, spent / _PER_USD, wanted.units / _PER_USD, "${:.6f}"
            )
        asked = sum(part.requests for part in sums)
        if caps.requests is not None and asked + len(held) + 1 > caps.requests:
            return "requests", _reached("requests", caps.requests, asked, 1, "{}")
        used = sum(part.input_tokens + part.output_tokens for part in sums)
        need = wanted.input_tokens + wanted.output_tokens
        tokens = used + sum(call.input_tokens + call.output_tokens for call in held) + need
        if caps.tokens is not None and tokens > caps.tokens:
            return "tokens", _reached("tokens", caps.tokens, used, need, "{}")
        return None

    def _finish(self, call: Reservation, state: str, usage: Usage | None) -> Any:
        """Move a call out of the open ones, in memory at once; the future is its commit."""
        tokens = Usage(call.input_tokens, call.output_tokens) if usage is None else usage
        if state == "refunded":
            tokens = Usage(0, 0)
        units = _units(call.price, tokens.input_tokens, tokens.output_tokens)
        with self._lock:
            if self._open.pop(call.call_id, None) is not None and state != "refunded":
                self._sum(call.teacher).add(state, units, tokens.input_tokens, tokens.output_tokens)
            waiting, self._waiting = self._waiting, []
        for loop, waiter in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, waiter)
        usd = None if units is None else units / _PER_USD
        counts = (tokens.input_tokens, tokens.output_tokens)
        return self._writer.submit(_UPDATE, (state, usd, *counts, call.call_id))

    def _sum(self, teacher: str) -> _Sum:
        return self._sums.setdefault(teacher, _Sum())

    def _recover(self, store: Store | None) -> None:
        """Read the ledger; end what a crash left open, by the stored answer or at its worst."""
        rows = self._writer.rows(
            "SELECT call_id, key, teacher, state, usd, input_tokens, output_tokens, price_input,"
            " price_output FROM spend WHERE state != 'refunded'"
        )
        for call_id, key, teacher, state, usd, tokens_in, tokens_out, price_in, price_out in rows:
            if state != "reserved":
                units = None if usd is None else round(usd * _PER_USD)
                self._sum(teacher).add(state, units, tokens_in, tokens_out)
                continue
            price = None if price_in is None else Price(input=price_in, output=price_out)
            call = Reservation(call_id, key, teacher, price, tokens_in, tokens_out)
            record = store.get(key) if store else None
            answer = record.answer if record else None
            self._open[call_id] = call
            self._finish(
                call, "unknown" if answer is None else "settled", answer.usage if answer else None
            )


def read_totals(path: Path) -> Totals | None:
    """What a ledger says was spent, read beside the process that may be writing it.

    None where there is no ledger.
    """
    if not path.is_file():
        return None
    sums: dict[str, _Sum] = {}
    with reading(path) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'spend'").fetchone():
            return None
        for teacher, state, usd, tokens_in, tokens_out in database.execute(
            "SELECT teacher, state, usd, input_tokens, output_tokens FROM spend"
            " WHERE state NOT IN ('refunded', 'reserved')"
        ):
            units = None if usd is None else round(usd * _PER_USD)
            sums.setdefault(teacher, _Sum()).add(state, units, tokens_in, tokens_out)
    return _whole(sums)


def _whole(sums: Mapping[str, _Sum]) -> Totals:
    whole = _Sum()
    for part in sums.values():
        for name in _Sum.__slots__:
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
    return whole.totals({name: sums[name].totals({}) for name in sorted(sums)})


def _units(price: Price | None, input_tokens: int, output_tokens: int) -> int | None:
    if price is None:
        return None
    per_million = input_tokens * price.input + output_tokens * price.output
    return math.ceil(round(per_million * (_PER_USD // 10**6), 3))


def _row(call: Reservation, state: str) -> tuple[Any, ...]:
    stored = state == "stored"
    units = 0 if stored else _units(call.price, call.input_tokens, call.output_tokens)
    usd = None if units is None else units / _PER_USD
    tokens = 0 if stored else call.input_tokens + call.output_tokens
    prices = (call.price.input, call.price.output) if call.price else (None, None)
    return (
        call.call_id, call.key, call.teacher, state, usd, call.input_tokens, call.output_tokens,
        usd, tokens, *prices, datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def _reached(cap: str, limit: float, spent: float, need: float, form: str) -> str:
    shown = [form.format(value) for value in (limit, spent, need, spent + need)]
    cheaper = "" if cap == "requests" else ", or lower the teacher's max_tokens"
    return (
        f"budget.{cap}: {shown[1]} of {shown[0]} are spent and the next ask may need {shown[2]}. "
        f"Raise budget.{cap} to {shown[3]} or more{cheaper}."
    )


def _wake(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
