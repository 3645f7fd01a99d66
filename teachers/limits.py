"""How fast an account is asked: an adaptive number in flight, requests and tokens per minute.

The number in flight starts at what the recipe says; a burst of 429 cuts it once, answers bring it
back. Source: the two published designs that agree on this, NVIDIA DataDesigner
(`owning-the-model-stack`) and inspect_ai (`design/adaptive-concurrency`).
"""

import asyncio
import random
import time
from collections import deque

from teachers.config import TokenRate
from teachers.rate_headers import Left

CUT = 0.75
GROW_AFTER = 25
"""Answers, while the limit was in use, before one more may be in flight."""
IN_USE = 0.8


class Bucket:
    """An amount per minute, smoothed: about one second's worth may go at once."""

    def __init__(self, per_minute: float) -> None:
        self._rate = per_minute / 60
        self._room = max(1.0, self._rate)
        self._left = self._room
        self._at = time.monotonic()

    def take(self, amount: float) -> float:
        """Take the amount and return how many seconds to wait before using it."""
        now = time.monotonic()
        self._left = min(self._room, self._left + (now - self._at) * self._rate)
        self._at = now
        # More than fits is let through when the bucket is full, and leaves a debt to wait off.
        wait = max(0.0, (min(amount, self._room) - self._left) / self._rate)
        self._left -= amount
        return wait

    def give(self, amount: float) -> None:
        """Put back what was taken and not used."""
        self._left = min(self._room, self._left + amount)


class Limits:
    """The pace of one account and model, for every teacher that asks it.

    `async with limits:` holds one of the places in flight.
    """

    def __init__(
        self, concurrency: int, rpm: int | None = None, tpm: int | TokenRate | None = None
    ) -> None:
        self.most = concurrency
        self.now = float(concurrency)
        """How many may be in flight at this moment."""
        rates = tpm if isinstance(tpm, TokenRate) else TokenRate()
        self._requests = Bucket(rpm) if rpm else None
        self._tokens = Bucket(tpm) if isinstance(tpm, int) else None
        self._input = Bucket(rates.input) if rates.input else None
        self._output = Bucket(rates.output) if rates.output else None
        self._not_before = 0.0
        self._cut_at = 0.0
        self._streak = 0
        self._need = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def allow(self, concurrency: int) -> None:
        """Let a further teacher of this account in: the largest `concurrency` of them holds."""
        if concurrency > self.most:
            self.now += concurrency - self.most
            self.most = concurrency

    async def __aenter__(self) -> None:
        """Take one of the places in flight, in the order of asking."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._busy, self._waiting = loop, 0, deque()
        if self._busy < int(self.now) and not self._waiting:
            self._busy += 1
        else:
            await self._queue(loop)

    async def __aexit__(self, *_: object) -> None:
        """Give the place to the next."""
        self._busy -= 1
        self._wake()

    async def _queue(self, loop: asyncio.AbstractEventLoop) -> None:
        waiter: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._busy -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._busy < int(self.now):
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._busy += 1
                waiter.set_result(None)

    async def admit(self, input_tokens: int, output_tokens: int) -> None:
        """Return when one more request of about so many tokens may be sent."""
        self._need = input_tokens + output_tokens
        wait = self._requests.take(1) if self._requests else 0.0
        for bucket, amount in self._shares(input_tokens, output_tokens):
            wait = max(wait, bucket.take(amount))
        if wait > 0:
            await asyncio.sleep(wait)
        # Looked at again after every sleep: another ask may have been told to wait meanwhile.
        while (pause := self._not_before - time.monotonic()) > 0:
            # Not all at the same moment, or the burst that was refused comes back as it was.
            await asyncio.sleep(pause * (1 + 0.1 * random.random()))

    def used(self, unused_input: int, unused_output: int) -> None:
        """Correct the guess of `admit` by what the request did not use; negative: used more."""
        for bucket, amount in self._shares(unused_input, unused_output):
            bucket.give(amount)

    def _shares(self, input_tokens: int, output_tokens: int) -> list[tuple[Bucket, int]]:
        wanted = (
            (self._tokens, input_tokens + output_tokens),
            (self._input, input_tokens),
            (self._output, output_tokens),
        )
        return [(bucket, amount) for bucket, amount in wanted if bucket is not None]

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def refused(self, sent_at: float, pause_s: float) -> None:
        """A 429 to a request of that (monotonic) time: one cut for all that were in flight."""
        if sent_at >= self._cut_at:
            self._cut_at = time.monotonic()
            self.now = max(1.0, self.now * CUT)
        self._streak = 0
        self.pause(pause_s)

    def answered(self) -> None:
        """An answer at the first try; enough of them while the limit was in use raise it."""
        if self.now >= self.most or self._busy < IN_USE * int(self.now):
            return
        self._streak += 1
        if self._streak >= GROW_AFTER:
            self._streak = 0
            self.now = min(float(self.most), self.now + 1)
            self._wake()

    def told(self, left: Left) -> None:
        """What a server's headers say is left: none of it, and the next request waits."""
        self.pause(max(left.requests_s(1), left.tokens_s(self._need)))
