"""Which address of a pool is asked next: the one that is expected to answer first.

An address that fails rests for a while that doubles, and is then tried by one request alone, so
that neither a slow nor a broken one takes the others' asks.
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
    rests_until: float = 0.0
    seconds: float = 0.0
    """Mean time of an answer, the newest weighing most; 0 before the first."""

    def is_open(self, now: float) -> bool:
        """Whether it may be asked: after a failure, by one request at a time."""
        return self.rests_until <= now and not (self.failures and self.busy)


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

    def answered(self, endpoint: Endpoint, seconds: float) -> None:
        """Note an answer and how long it took."""
        endpoint.failures = 0
        mean = endpoint.seconds or seconds
        endpoint.seconds = (1 - NEWEST) * mean + NEWEST * seconds

    def failed(self, endpoint: Endpoint, error: TeacherError) -> TeacherError:
        """Note a failure; it says when the same ask may be sent again, elsewhere if need be."""
        if not error.retryable or len(self.all) == 1:
            return error
        rest = min(LONGEST_REST_S, FIRST_REST_S * 2.0**endpoint.failures)
        endpoint.failures += 1
        now = time.monotonic()
        endpoint.rests_until = now + (rest if error.retry_after_s is None else error.retry_after_s)
        wait = 0.0
        if not any(one.is_open(now) for one in self.all):
            wait = max(0.0, min(one.rests_until for one in self.all) - now)
        kind, text, _, *rest_of = error.args if len(error.args) > 2 else (*error.args, None)
        return type(error)(kind, text, wait, *rest_of)
