"""A spending cap that holds: reserve the worst case, then settle what it cost or refund.

Settled + reserved <= cap at every instant, over all teachers of a run and all its resumes, since
each step is committed before the next. `requests` counts asks that a teacher answered or may have
answered; one that was refused (429, 5xx, no connection) is refunded whole.
"""

import asyncio
import math
import threading
import uuid
from collections.abc import Iterable, Mapping
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

_SUMS = """
SELECT teacher, state, count(*), sum(CAST(round(usd * 1e12) AS INTEGER)), count(*) - count(usd),
       sum(input_tokens), sum(output_tokens)
FROM spend WHERE state NOT IN ('refunded', 'reserved') GROUP BY teacher, state
"""

JOB = "job "
"""Begins the keys of calls that run on without us, such as a fine-tuning."""

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
    """Running sums of calls."""

    units: int = 0
    unpriced: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    stored: int = 0
    unknown: int = 0

    def add(self, other: "_Sum", sign: int = 1) -> None:
        # Written out: a loop over the names takes four times as long, several times an ask.
        self.units += sign * other.units
        self.unpriced += sign * other.unpriced
        self.requests += sign * other.requests
        self.input_tokens += sign * other.input_tokens
        self.output_tokens += sign * other.output_tokens
        self.stored += sign * other.stored
        self.unknown += sign * other.unknown

    def totals(self, parts: Mapping[str, "Totals"]) -> Totals:
        usd = None if self.unpriced else self.units / _PER_USD
        counts = (self.requests, self.input_tokens, self.output_tokens, self.stored, self.unknown)
        return Totals(usd, *counts, by_teacher=parts)


def _one(units: int | None, tokens: Usage, *, unknown: bool = False) -> _Sum:
    """One call that was answered, or may have been."""
    used = (tokens.input_tokens, tokens.output_tokens)
    return _Sum(units or 0, units is None, 1, *used, unknown=unknown)


class Budget:
    """The ledger of one run in the SQLite file at `path`, and the caps over it."""

    def __init__(self, path: str | Path, caps: Caps, *, store: Store | None = None) -> None:
        self.caps = caps
        self._writer = Writer(path, _SCHEMA)
        self._lock = threading.Lock()
        self._sums: dict[str, _Sum] = {}
        self._whole = _Sum()
        self._open: dict[str, Reservation] = {}
        self._held = _Sum()
        """Worst cases of the open calls."""
        self._left: dict[str, Reservation] = {}
        """Open calls of an earlier process, by key: they run in a batch."""
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._recover(store)

    async def reserve(
        self, *, key: str, teacher: str, price: Price | None, input_tokens: int, output_tokens: int
    ) -> Reservation:
        """Set the worst case of one call aside; waits while calls in flight may still give back.

        A call that an earlier process left in a batch, or as a job, is taken over with what it had
        reserved.

        Raises: BudgetReached when it would not fit even with nothing in flight.
        """
        with self._lock:
            left = self._left.pop(key, None)
        if left is not None:
            return left
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

    def is_left(self, key: str) -> bool:
        """Whether an earlier process left a call open that runs on without us."""
        with self._lock:
            return key in self._left

    async def settle(self, reservation: Reservation, usage: Usage) -> float | None:
        """Count what the call used and return its cost in USD, None without a price.

        More than was reserved is counted in full; where that passes a cap nothing more is asked.
        """
        await self._writer.write(_UPDATE, self._finish(reservation, "settled", usage, write=False))
        units = _units(reservation.price, usage.input_tokens, usage.output_tokens)
        return None if units is None else units / _PER_USD

    async def refund(self, reservation: Reservation) -> None:
        """Give a reservation back: the call was never answered."""
        await self._writer.write(_UPDATE, self._finish(reservation, "refunded", None, write=False))

    def abandon(self, reservation: Reservation, *, billed: bool) -> None:
        """End a reservation at once, where nothing can be awaited: as spent, or given back."""
        self._finish(reservation, "unknown" if billed else "refunded", None)

    async def stored(self, *, key: str, teacher: str, usage: Usage) -> None:
        """Count an answer that came from the store and cost nothing."""
        call = Reservation(
            uuid.uuid4().hex, key, teacher, None, usage.input_tokens, usage.output_tokens
        )
        self._count(teacher, _Sum(stored=1))
        if self._writer.is_behind:
            await self._writer.write(_INSERT, _row(call, "stored"))
        else:
            self._writer.send(_INSERT, _row(call, "stored"))

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
            if (over := self._over(wanted, self._held)) is None:
                self._open[wanted.call_id] = wanted
                self._held.add(_worst(wanted))
                return None
            # What an earlier process left in a batch gives nothing back while nobody asks for it.
            alone = len(self._open) <= len(self._left)
            if alone or (over := self._over(wanted, _Sum())) is not None:
                raise BudgetReached(*over)
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, waiter))
            return waiter

    def _over(self, wanted: Reservation, held: _Sum) -> tuple[str, str] | None:
        """Which cap this call would pass, and a sentence with the figures; None when it fits."""
        spent, caps = self._whole, self.caps
        units = spent.units + held.units + wanted.units
        if caps.usd is not None and units > math.floor(caps.usd * _PER_USD):
            return "usd", _reached(
                "usd", caps.usd, spent.units / _PER_USD, wanted.units / _PER_USD, "${:.6f}"
            )
        if caps.requests is not None and spent.requests + held.requests + 1 > caps.requests:
            return "requests", _reached("requests", caps.requests, spent.requests, 1, "{}")
        used = spent.input_tokens + spent.output_tokens
        need = wanted.input_tokens + wanted.output_tokens
        tokens = used + held.input_tokens + held.output_tokens + need
        if caps.tokens is not None and tokens > caps.tokens:
            return "tokens", _reached("tokens", caps.tokens, used, need, "{}")
        return None

    def _finish(
        self, call: Reservation, state: str, usage: Usage | None, *, write: bool = True
    ) -> tuple[Any, ...]:
        """Move a call out of the open ones, in memory at once; returns what to write of it."""
        tokens = Usage(call.input_tokens, call.output_tokens) if usage is None else usage
        if state == "refunded":
            tokens = Usage(0, 0)
        units = _units(call.price, tokens.input_tokens, tokens.output_tokens)
        with self._lock:
            was_open = self._open.pop(call.call_id, None) is not None
            if was_open:
                self._held.add(_worst(call), -1)
            waiting, self._waiting = self._waiting, []
        if was_open and state != "refunded":
            self._count(call.teacher, _one(units, tokens, unknown=state == "unknown"))
        for loop, waiter in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, waiter)
        usd = None if units is None else units / _PER_USD
        values = (state, usd, tokens.input_tokens, tokens.output_tokens, call.call_id)
        if write:
            self._writer.send(_UPDATE, values)
        return values

    def _count(self, teacher: str, call: _Sum) -> None:
        with self._lock:
            self._sums.setdefault(teacher, _Sum()).add(call)
            self._whole.add(call)

    def _recover(self, store: Store | None) -> None:
        """Read the ledger; end what a crash left open, by the stored answer or at its worst.

        What still runs in a batch or as a job stays open: `reserve` takes it over.
        """
        for teacher, part in _read_sums(self._writer.rows(_SUMS)).items():
            self._count(teacher, part)
        rows = self._writer.rows(
            "SELECT call_id, key, teacher, input_tokens, output_tokens, price_input, price_output"
            " FROM spend WHERE state = 'reserved'"
        )
        for call_id, key, teacher, tokens_in, tokens_out, price_in, price_out in rows:
            price = None if price_in is None else Price(input=price_in, output=price_out)
            call = Reservation(call_id, key, teacher, price, tokens_in, tokens_out)
            record = store.get(key) if store else None
            answer = record.answer if record else None
            self._open[call_id] = call
            self._held.add(_worst(call))
            if answer is not None:
                self._finish(call, "settled", answer.usage)
            elif key.startswith(JOB) or (store is not None and store.in_batch(key)):
                self._left[key] = call
            else:
                self._finish(call, "unknown", None)


def _worst(call: Reservation) -> _Sum:
    """What an open call may come to."""
    return _one(call.units, Usage(call.input_tokens, call.output_tokens))


def read_totals(path: Path) -> Totals | None:
    """What a ledger says was spent, read beside the process that may be writing it.

    None where there is no ledger.
    """
    if not path.is_file():
        return None
    with reading(path) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'spend'").fetchone():
            return None
        return _whole(_read_sums(database.execute(_SUMS).fetchall()))


def _read_sums(rows: Iterable[tuple[Any, ...]]) -> dict[str, _Sum]:
    """Sums by teacher of what `_SUMS` finds."""
    sums: dict[str, _Sum] = {}
    for teacher, state, calls, *used in rows:
        unknown = calls if state == "unknown" else 0
        part = _Sum(stored=calls)
        if state != "stored":
            units, unpriced, tokens_in, tokens_out = used
            part = _Sum(units or 0, unpriced, calls, tokens_in, tokens_out, unknown=unknown)
        sums.setdefault(teacher, _Sum()).add(part)
    return sums


def _whole(sums: Mapping[str, _Sum]) -> Totals:
    whole = _Sum()
    for part in sums.values():
        whole.add(part)
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
