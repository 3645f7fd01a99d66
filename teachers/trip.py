"""An ask on its way through the gateway."""

import asyncio
from dataclasses import dataclass

from teachers.budget import Reservation
from teachers.protocol import Answer


@dataclass(slots=True)
class Flight:
    """One ask on its way, and how many wait for it."""

    task: "asyncio.Task[Answer] | None" = None
    waiting: int = 0
    sent: bool = False


@dataclass(slots=True)
class Trip:
    """One attempt at an answer."""

    key: str
    is_batch: bool = False
    call: Reservation | None = None
    sent_at: float = 0.0
    """0 before it was sent."""
    answer: Answer | None = None
    kept: Answer | None = None
    """What the store holds after it, where that may be served."""

    @property
    def arrived(self) -> Answer:
        """What came back."""
        assert self.answer is not None
        return self.answer
