"""A figure with its 95 % interval: Wilson for shares, bootstrap for the rest, means over seeds.

scipy and numpy belong to the extra `evaluate`; they are imported where they are used.
"""

import math
import statistics
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import PrerequisiteError, Problem

CONFIDENCE = 0.95
RESAMPLES = 2000
_Z = statistics.NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `value` is None where there is none, and `why` says so."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    """Rows (or trials) behind it."""
    sd: float | None = None
    """Standard deviation over seeds."""
    seeds: int | None = None
    """How many seeds."""
    why: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The shape F of CONTRACT section 4."""
        if self.value is None or not math.isfinite(self.value):
            return {"value": None, "why": self.why or "not a finite number"}
        shape: dict[str, Any] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
        }
        if self.seeds is not None:
            shape |= {"sd": self.sd, "seeds": self.seeds}
        return shape


def nothing(why: str, n: int = 0) -> Figure:
    """Returns the figure that says why there is none."""
    return Figure(None, None, None, n, why=why)


def proportion(successes: int, n: int) -> Figure:
    """Returns a share with its Wilson interval (Wilson 1927)."""
    if n == 0:
        return nothing("no rows")
    share, wide = successes / n, _Z**2 / n
    middle = (share + wide / 2) / (1 + wide)
    half = _Z / (1 + wide) * math.sqrt(share * (1 - share) / n + wide / (4 * n))
    return Figure(share, max(0.0, middle - half), min(1.0, middle + half), n)


def bootstrap(
    values: Sequence[Any],
    seed: int,
    groups: Sequence[Hashable] | None = None,
    *,
    statistic: Callable[[list[Any]], float] | None = None,
    resamples: int = RESAMPLES,
) -> Figure:
    """Returns a statistic of values with its percentile bootstrap interval (Efron 1979).

    Args:
        values: Numbers, or anything that `statistic` takes a list of.
        seed: Of the resampling.
        groups: One key per value; whole groups are drawn, for values that are not independent.
        statistic: Absent: the mean.
        resamples: How many.
    """
    if not values:
        return nothing("no rows")
    try:
        import numpy as np
    except ImportError as missing:
        raise _extra("numpy") from missing
    rng = np.random.default_rng(seed)
    members: dict[Hashable, list[int]] = {}
    for at, group in enumerate(range(len(values)) if groups is None else groups):
        members.setdefault(group, []).append(at)
    blocks = list(members.values())
    measure = statistic or _mean
    drawn = []
    for _ in range(resamples):
        chosen = rng.integers(0, len(blocks), size=len(blocks)).tolist()
        drawn.append(measure([values[at] for block in chosen for at in blocks[block]]))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.asarray(drawn, dtype=float), [tail, 1 - tail])
    return Figure(float(measure(list(values))), float(low), float(high), len(values))


def over_seeds(figures: Sequence[Figure], *, within: tuple[float, float] | None = None) -> Figure:
    """Returns the mean over seeds; its interval holds both the spread of seeds and that of rows.

    All seeds are measured on the same rows, so more seeds do not shrink the rows' uncertainty:
    half width = hypot(t * sd / sqrt(seeds), mean half width of one seed).

    Args:
        figures: One per seed.
        within: Bounds that the interval may not leave ((0, 1) for shares).
    """
    if not figures:
        return nothing("no seeds")
    without = next((figure for figure in figures if figure.value is None), None)
    if without is not None:
        return nothing(without.why or "a seed has no value", without.n)
    if len(figures) == 1:
        return figures[0]
    values = [figure.value for figure in figures if figure.value is not None]
    count, mean = len(values), statistics.mean(values)
    sd = statistics.stdev(values)
    spread = _t(count - 1) * sd / math.sqrt(count) if sd else 0.0
    below = _mean([v - f.low for v, f in zip(values, figures, strict=True) if f.low is not None])
    above = _mean([f.high - v for v, f in zip(values, figures, strict=True) if f.high is not None])
    low, high = mean - math.hypot(spread, below), mean + math.hypot(spread, above)
    if within:
        low, high = max(within[0], low), min(within[1], high)
    return Figure(mean, low, high, figures[0].n, sd=sd, seeds=count)


def student_t(freedom: int) -> float:
    """Returns the quantile of Student's t that a 95 % interval needs, without scipy.

    Exact for 1 and 2 degrees of freedom; beyond, the expansion 26.7.5 of Abramowitz and Stegun
    (1964), 0.12 % off at 3 and less above.
    """
    p = 0.5 + CONFIDENCE / 2
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z = _Z
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def _t(freedom: int) -> float:
    try:
        from scipy.stats import t
    except ImportError as missing:
        raise _extra("scipy") from missing
    return float(t.ppf(0.5 + CONFIDENCE / 2, freedom))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else 0.0


def _extra(package: str) -> PrerequisiteError:
    line = "pip install 'distill-kit[evaluate]'"
    return PrerequisiteError(
        f"{package} is not installed; intervals need it: {line}",
        [Problem(found=f"package {package} is missing", fix=line)],
    )
