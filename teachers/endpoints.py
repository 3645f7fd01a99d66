"""Which address of a pool is asked next: the one that is expected to answer first.

Fewest in flight first, weighed by how long each takes. An address that fails is set aside until a
look finds it ready (`health.py`), and is then tried by one request alone, so that neither a slow
nor a broken one takes the others' asks.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from teachers.errors import TeacherError
from teachers.openai_http import Connections

FIRST_REST_S = 0.5
LONGEST_REST_S = 30.0
NEWEST = 0.2
"""Weight of the newest answer in the mean time that an address takes."""

SHORT_S = 0.05
"""Times below this are noise."""
ALIKE = 2.0
"""Up to this ratio of their times, addresses count as equally fast."""


@dataclass(slots=True)
class Endpoint:
    """One address of a pool."""

    connections: Connections
    busy: int = 0
    failures: int = 0
    """In a row."""
    away: bool = False
    """Set aside until a look finds it ready."""
    rests_until: float = 0.0
    seconds: float = 0.0
    """Mean time of an answer, the newest weighing most; 0 before the first."""

    def is_open(self, now: float) -> bool:
        """Whether it may be asked: after a failure, by one request at a time."""
        alone = not (self.failures and self.busy)
        return not self.away and self.rests_until <= now and alone

    def rest(self, seconds: float | None = None) -> None:
        """Leave it alone for so long, by default for twice as long as after the last failure."""
        doubled = min(LONGEST_REST_S, FIRST_REST_S * 2.0**self.failures)
        self.failures += 1
        self.rests_until = time.monotonic() + (doubled if seconds is None else seconds)


class Endpoints:
    """The addresses of one teacher."""

    def __init__(self, connections: Sequence[Connections]) -> None:
        self.all = [Endpoint(one) for one in connections]
        self._turn = 0

    def next(self) -> Endpoint:
        """The address to ask now; where all rest, the one that wakes first."""
        if len(self.all) == 1:
            return self.all[0]
        now = time.monotonic()
        self._turn += 1
        order = [self.all[(self._turn + step) % len(self.all)] for step in range(len(self.all))]
        open_ = [one for one in order if one.is_open(now)]
        if open_:
            fastest = max(SHORT_S, min(one.seconds for one in open_))
            # Only what is much slower weighs: alike addresses take turns.
            return min(
                open_, key=lambda one: (one.busy + 1) * max(1.0, one.seconds / fastest / ALIKE)
            )
        return min(order, key=lambda one: (one.rests_until, one.busy))

    def some_ready(self) -> bool:
        """Whether others than the one that failed last may be asked."""
        return len(self.all) > 1 and not all(one.away for one in self.all)

    def answered(self, endpoint: Endpoint, seconds: float) -> None:
        """Note an answer and how long it took."""
        endpoint.failures, endpoint.away = 0, False
        mean = endpoint.seconds or seconds
        endpoint.seconds = (1 - NEWEST) * mean + NEWEST * seconds

    def failed(self, endpoint: Endpoint, error: TeacherError) -> TeacherError:
        """Note a failure; it says when the same ask may be sent again, elsewhere if need be."""
        if not error.retryable or len(self.all) == 1:
            return error
        endpoint.rest(error.retry_after_s)
        endpoint.away = endpoint.away or error.kind != "rate_limit"
        now = time.monotonic()
        wait = 0.0
        if not any(one.is_open(now) for one in self.all):
            wait = max(0.0, min(one.rests_until for one in self.all) - now)
        kind, text, _, *rest_of = error.args if len(error.args) > 2 else (*error.args, None)
        return type(error)(kind, text, wait, *rest_of)
