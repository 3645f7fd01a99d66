"""Watches how many candidates fail, and stops a run that mostly pays for nothing."""

import math
from collections import Counter, deque
from dataclasses import dataclass, field

from distill.errors import Problem, RunError
from distill.generate.fill import Filled

LEAST = 50
"""Fewest outcomes that a share of failures is taken from."""
WINDOW = 500
"""Outcomes that are looked back on while a round runs."""


@dataclass(slots=True)
class FailureWatch:
    """What became of each row; rate limits and retries never come here."""

    limit: float
    """Largest share that may fail."""
    total: int = 0
    failed: list[Filled] = field(default_factory=list)
    last: deque[bool] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def add(self, filled: Filled) -> None:
        """Notes an outcome.

        Raises: RunError when too many of the last ones failed for that to be chance.
        """
        self.total += 1
        self.last.append(filled.failure is not None)
        if filled.failure is not None:
            self.failed.append(filled)
        count, seen = sum(self.last), len(self.last)
        # Two standard deviations: a run with half the allowed share meets a bad stretch of 50 rows
        # somewhere among its thousands.
        margin = 2 * math.sqrt(seen * self.limit * (1 - self.limit))
        if seen >= LEAST and count > self.limit * seen + margin:
            raise self._error(count, seen)

    def finish_round(self) -> None:
        """Raises RunError when more than the allowed share of all rows so far failed.

        Fewer than LEAST rows must all have failed, unless no row at all may fail.
        """
        count = len(self.failed)
        enough = self.total >= LEAST or count == self.total or self.limit == 0
        if enough and count > self.limit * self.total:
            raise self._error(count, self.total)

    def _error(self, count: int, seen: int) -> RunError:
        [(kind, times)] = Counter(filled.row.reason for filled in self.failed).most_common(1)
        example = next(filled for filled in self.failed if filled.row.reason == kind)
        problem = Problem(
            f"{count} of the last {seen} rows failed, most often with {kind!r} ({times} in all); "
            f"row {example.row.id}: {example.failure}",
            key="generate.max_failed",
            allowed=f"a share of {self.limit:g}",
            fix="Mend the cause and run again: every answer is stored and is not paid for twice.",
        )
        return RunError(str(problem), [problem])
