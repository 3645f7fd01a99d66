"""When a failed ask is tried again: by the kind of its failure, with a bound for every kind."""

import random
from dataclasses import dataclass

from teachers.errors import TeacherError

TRIES = 6
REASKS = 2
RATE_LIMIT_TRIES = 200
RATE_LIMIT_WAIT_S = 900.0
LONGEST_PAUSE_S = 60.0


@dataclass(slots=True)
class Patience:
    """What is left of one ask's retries. Rate limits have a count of their own."""

    backoff_s: float
    tries: int = TRIES
    _failed: int = 0
    _limited: int = 0
    _waited_s: float = 0.0

    def pause_s(self, error: TeacherError) -> float | None:
        """Seconds to wait before the same ask is sent again, None when it is not."""
        if not error.retryable:
            return None
        if error.kind == "rate_limit":
            return self._rate_limit(error.retry_after_s)
        self._failed += 1
        if self._failed >= self.tries:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s if error.retry_after_s <= RATE_LIMIT_WAIT_S else None
        return self._jitter(self._failed)

    def _rate_limit(self, asked_s: float | None) -> float | None:
        self._limited += 1
        pause = self._jitter(self._limited) if asked_s is None else asked_s
        self._waited_s += pause
        over = self._waited_s > RATE_LIMIT_WAIT_S or self._limited >= RATE_LIMIT_TRIES
        return None if over else pause

    def _jitter(self, nth: int) -> float:
        """Full jitter: anything up to a bound that doubles."""
        return random.random() * min(LONGEST_PAUSE_S, self.backoff_s * 2.0 ** min(nth - 1, 10))
