"""Intervals of a judge's figures: a seeded bootstrap that draws whole instructions, not rows.

Rows of one instruction are not independent: they share what makes it hard. numpy belongs to the
extra `evaluate`.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from distill.measure.intervals import CONFIDENCE, Figure, nothing

RESAMPLES = 1000


class Resampler:
    """Draws the same resamples of rows for every figure that is asked for."""

    def __init__(self, groups: Sequence[Hashable], seed: int, resamples: int = RESAMPLES) -> None:
        import numpy as np

        rng = np.random.default_rng(seed)
        members: dict[Hashable, list[int]] = {}
        for at, group in enumerate(groups):
            members.setdefault(group, []).append(at)
        blocks = [np.asarray(block) for block in members.values()]
        self.n = len(groups)
        single = len(blocks) == self.n
        self._draws: list[Any] = []
        for _ in range(resamples if blocks else 0):
            chosen = rng.integers(0, len(blocks), size=len(blocks))
            drawn = chosen if single else np.concatenate([blocks[at] for at in chosen])
            self._draws.append(drawn)

    def figure(self, statistic: Callable[[Any], float], why: str = "not defined here") -> Figure:
        """A statistic of row indices with its interval; NaN where it is not defined.

        Args:
            statistic: Takes an array of row indices, shape (N,).
            why: Said where the value is not a finite number.
        """
        import numpy as np

        if not self.n:
            return nothing("no rows")
        value = float(statistic(np.arange(self.n)))
        if not math.isfinite(value):
            return nothing(why, self.n)
        drawn = np.asarray([statistic(draw) for draw in self._draws], dtype=float)
        drawn = drawn[np.isfinite(drawn)]
        if not len(drawn):
            return Figure(value, None, None, self.n)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(drawn, [tail, 1 - tail])
        return Figure(value, float(low), float(high), self.n)
