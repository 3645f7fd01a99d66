"""How fast a teacher is asked: requests and tokens per minute, and the pauses a server asks for."""

import asyncio
import random
import time


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
    """The pace of one teacher."""

    def __init__(self, rpm: int | None, tpm: int | None) -> None:
        self._requests = Bucket(rpm) if rpm else None
        self._tokens = Bucket(tpm) if tpm else None
        self._not_before = 0.0

    async def admit(self, tokens: int) -> None:
        """Return when one more request of about so many tokens may be sent."""
        wait = self._requests.take(1) if self._requests else 0.0
        if self._tokens:
            wait = max(wait, self._tokens.take(tokens))
        if wait > 0:
            await asyncio.sleep(wait)
        # Looked at again after every sleep: another ask may have been told to wait meanwhile.
        while (pause := self._not_before - time.monotonic()) > 0:
            # Not all at the same moment, or the burst that was refused comes back as it was.
            await asyncio.sleep(pause * (1 + 0.1 * random.random()))

    def used(self, guessed: int, tokens: int) -> None:
        """Correct the guess of `admit` by what the request really used."""
        if self._tokens:
            self._tokens.give(guessed - tokens)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)
