"""How far two sets of rows are apart, with an interval and what chance alone would give.

Jensen-Shannon distance (base 2, 0 to 1; Lin 1991) of labels, Kolmogorov-Smirnov of numbers, energy
distance of vectors (Szekely and Rizzo 2013). Intervals are percentile bootstraps over rows;
`chance` is what random parts of both sets together stay under 19 times in 20. numpy belongs to the
extra `evaluate`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from distill.measure.intervals import CONFIDENCE
from distill.measure.words import numpy

RESAMPLES = 200


def label_distance(one: Sequence[str], other: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Jensen-Shannon distance of the labels' shares."""
    np = numpy()
    names = sorted(set(one) | set(other))
    if not one or not other:
        return {"value": None, "why": "one side has no label"}
    at = {name: place for place, name in enumerate(names)}
    a = np.bincount([at[label] for label in one], minlength=len(names))
    b = np.bincount([at[label] for label in other], minlength=len(names))
    rng = np.random.default_rng(seed)

    def draw(counts: Any, size: int, times: int) -> Any:
        return rng.multinomial(size, counts / counts.sum(), size=times)

    value = float(_jensen_shannon(a[None], b[None])[0])
    drawn = _jensen_shannon(draw(a, len(one), RESAMPLES), draw(b, len(other), RESAMPLES))
    both = a + b
    chance = _jensen_shannon(draw(both, len(one), RESAMPLES), draw(both, len(other), RESAMPLES))
    return _shape(value, drawn, chance, len(one) + len(other))


def number_distance(one: Any, other: Any, *, seed: int = 0) -> dict[str, Any]:
    """Kolmogorov-Smirnov distance of two sets of numbers: 0 alike, 1 apart."""
    np = numpy()
    one, other = np.asarray(one, float), np.asarray(other, float)
    if not (len(one) and len(other)):
        return {"value": None, "why": "one side has no rows"}
    return _resampled(one, other, _kolmogorov_smirnov, seed)


def vector_distance(one: Any, other: Any, *, seed: int = 0) -> dict[str, Any]:
    """Energy distance of vectors (N, D) and (M, D): 2 E|x - y| - E|x - x'| - E|y - y'|."""
    np = numpy()
    if len(one) < 2 or len(other) < 2:
        return {"value": None, "why": "one side has fewer than two rows"}
    both = np.concatenate([one, other]).astype(np.float64)
    squares = (both**2).sum(axis=1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * both @ both.T, 0.0))
    np.fill_diagonal(apart, 0.0)
    n, m = len(one), len(other)
    rng = np.random.default_rng(seed)

    def energy(x: Any, y: Any) -> Any:
        """Weights (R, N + M) of both sides; pairs of a row with itself do not count."""
        xd, yd = x @ apart, y @ apart
        sx, sy = x.sum(axis=1), y.sum(axis=1)
        within = (xd * x).sum(axis=1) / (sx**2 - (x**2).sum(axis=1))
        without = (yd * y).sum(axis=1) / (sy**2 - (y**2).sum(axis=1))
        return 2 * (xd * y).sum(axis=1) / (sx * sy) - within - without

    ones, zeros = np.ones, np.zeros
    value = float(energy(np.r_[ones(n), zeros(m)][None], np.r_[zeros(n), ones(m)][None])[0])
    x = np.c_[rng.multinomial(n, ones(n) / n, RESAMPLES), zeros((RESAMPLES, m))]
    y = np.c_[zeros((RESAMPLES, n)), rng.multinomial(m, ones(m) / m, RESAMPLES)]
    shuffled = np.array([rng.permutation(np.r_[ones(n), zeros(m)]) for _ in range(RESAMPLES)])
    # The estimate has no bias, so of sets that are alike it may fall below the least distance.
    return _shape(max(0.0, value), energy(x, y), energy(shuffled, 1 - shuffled), n + m)


def _resampled(
    one: Any, other: Any, measure: Callable[[Any, Any], float], seed: int
) -> dict[str, Any]:
    np = numpy()
    rng = np.random.default_rng(seed)
    drawn, chance = [], []
    both = np.concatenate([one, other])
    for _ in range(RESAMPLES):
        drawn.append(measure(rng.choice(one, len(one)), rng.choice(other, len(other))))
        mixed = rng.permutation(both)
        chance.append(measure(mixed[: len(one)], mixed[len(one) :]))
    return _shape(measure(one, other), np.array(drawn), np.array(chance), len(both))


def _shape(value: float, drawn: Any, chance: Any, n: int) -> dict[str, Any]:
    np = numpy()
    tail = (1 - CONFIDENCE) / 2
    drawn = drawn[np.isfinite(drawn)]
    limit = float(np.quantile(chance, CONFIDENCE))
    # Resampled sets are further apart than the sets themselves; the bias is taken off again.
    low, high = np.quantile(drawn, [tail, 1 - tail]) - drawn.mean() + value
    return {
        "value": value, "low": max(0.0, float(low)), "high": max(0.0, float(high)), "n": n,
        "chance": limit, "differs": bool(value > limit),
    }  # fmt: skip


def _jensen_shannon(one: Any, other: Any) -> Any:
    """Distances of rows of counts (R, K)."""
    np = numpy()
    p = one / one.sum(axis=1, keepdims=True)
    q = other / other.sum(axis=1, keepdims=True)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=1)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum(axis=1)
    return np.sqrt(np.maximum((left + right) / 2, 0.0))


def _kolmogorov_smirnov(one: Any, other: Any) -> float:
    np = numpy()
    one, other = np.sort(one), np.sort(other)
    points = np.concatenate([one, other])
    below = np.searchsorted(one, points, side="right") / len(one)
    return float(np.abs(below - np.searchsorted(other, points, side="right") / len(other)).max())
