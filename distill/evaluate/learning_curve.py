"""Whether more rows would help: students of growing shares of the rows, and what a doubling buys.

All students take the same number of steps, so that the rows are the only difference: with the same
epochs a smaller share would also have learnt for a shorter time, and rows would look better than
they are. Shares are nested. The next doubling is projected with a power law of the error
(Hestness et al. 2017, arXiv:1712.00409).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.evaluate.stage import NOT_SHARES
from distill.evaluate.verdict import LOWER_IS_BETTER, MEASURES
from distill.measure.intervals import Figure, bootstrap, nothing, over_seeds

LEAST_GAIN = 0.01
"""A doubling that surely buys less than one right answer in a hundred is not worth its price."""
RESAMPLES = 1000
SAME = 1e-9


@dataclass(frozen=True, slots=True)
class Point:
    """Students of one share, one per seed."""

    share: float
    rows: int
    figures: Sequence[Mapping[str, Figure]]
    scores: Sequence[Sequence[float]]
    """How right each answer is; empty where nothing was answered."""


def learning_curve(
    points: Sequence[Point], usd_per_row: float | None = None, seed: int = 0
) -> dict[str, Any] | None:
    """The curve and its answer; None where no metric that decides was measured.

    Returns: metric, points [{share, rows, figures}], gain (of one doubling, positive is better),
    next {rows, value, gain, usd}, usd_per_row, worth (yes | no | unclear), because.
    """
    points = sorted(points, key=lambda point: point.rows)
    metric = next((name for name in MEASURES if all(_has(p, name) for p in points)), None)
    if metric is None:
        return None
    gain = _gain(points[-2], points[-1], metric, seed) if len(points) > 1 else nothing("one point")
    ahead = _next(points, metric, usd_per_row)
    worth, because = _answer(points[-1], metric, gain, ahead)
    return {
        "metric": metric,
        "points": [
            {
                "share": point.share,
                "rows": point.rows,
                "figures": {name: _figure(point, name).as_dict() for name in point.figures[0]},
            }
            for point in points
        ],
        "gain": gain.as_dict(),
        "next": ahead,
        "usd_per_row": usd_per_row,
        "worth": worth,
        "because": because,
    }


def _has(point: Point, metric: str) -> bool:
    return all(run.get(metric) and run[metric].value is not None for run in point.figures)


def _figure(point: Point, metric: str) -> Figure:
    within = None if metric in NOT_SHARES else (0.0, 1.0)
    return over_seeds([run[metric] for run in point.figures if metric in run], within=within)


def _value(point: Point, metric: str) -> float:
    return float(_figure(point, metric).value or 0.0)


def _gain(less: Point, more: Point, metric: str, seed: int) -> Figure:
    """What a doubling of the rows bought between two points, paired over rows where it can be."""
    doublings = math.log2(more.rows / less.rows) if more.rows > less.rows else 0.0
    if not doublings:
        return nothing("the last two shares hold as many rows")
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    runs = []
    for place, (one, other) in enumerate(zip(less.figures, more.figures, strict=True)):
        scores = [(p.scores[place] if p.scores else ()) for p in (less, more)]
        paired = all(
            rows and abs(sum(rows) / len(rows) - float(run[metric].value or 0.0)) < SAME
            for rows, run in zip(scores, (one, other), strict=True)
        )
        if paired:
            differences = [
                sign * (b - a) / doublings for a, b in zip(scores[0], scores[1], strict=True)
            ]
            runs.append(bootstrap(differences, seed, resamples=RESAMPLES))
        else:
            runs.append(_apart(one[metric], other[metric], sign / doublings))
    return over_seeds(runs)


def _apart(one: Figure, other: Figure, factor: float) -> Figure:
    """A difference of two figures as if they were independent: wider than a paired one."""
    assert one.value is not None
    assert other.value is not None
    value = factor * (other.value - one.value)
    if None in (one.low, one.high, other.low, other.high):
        return Figure(value, None, None, other.n)
    halves = [((f.high or 0.0) - (f.low or 0.0)) / 2 for f in (one, other)]
    half = abs(factor) * math.hypot(*halves)
    return Figure(value, value - half, value + half, other.n)


def _next(points: Sequence[Point], metric: str, usd_per_row: float | None) -> dict[str, Any] | None:
    """What twice the rows would score, by the power law through all points."""
    import numpy as np

    lower = metric in LOWER_IS_BETTER
    errors = [_value(p, metric) if lower else 1 - _value(p, metric) for p in points]
    if len({point.rows for point in points}) < 2:
        return None
    rows = points[-1].rows
    if min(errors) <= 0:
        gain = 0.0
    else:
        slope = float(np.polyfit(np.log([p.rows for p in points]), np.log(errors), 1)[0])
        gain = errors[-1] * (1 - 2 ** min(slope, 0.0))
    value = _value(points[-1], metric) + (-gain if lower else gain)
    usd = None if usd_per_row is None else usd_per_row * rows
    return {"rows": 2 * rows, "value": value, "gain": gain, "usd": usd}


def _answer(
    last: Point, metric: str, gain: Figure, ahead: Mapping[str, Any] | None
) -> tuple[str, str]:
    if gain.value is None or ahead is None:
        return "unclear", f"The curve has no slope: {gain.why or 'one point'}."
    least = LEAST_GAIN * (_value(last, metric) if metric in LOWER_IS_BETTER else 1.0)
    spread = "" if gain.low is None else f" (interval {gain.low:+.3f} to {gain.high:+.3f})"
    bought = f"The last doubling of the rows changed {metric} by {gain.value:+.3f}{spread}"
    price = "" if ahead["usd"] is None else f" for about {ahead['usd']:,.2f} USD of answers"
    more = (
        f"{ahead['rows'] - last.rows:,} more rows{price} are projected to bring "
        f"{ahead['gain']:+.3f}"
    )
    if gain.low is not None and gain.low > 0:
        return "yes", f"{bought}; {more}."
    if gain.value <= 0 or (gain.high is not None and gain.high < least):
        return "no", f"{bought}; more rows of this kind are not worth their price."
    return "unclear", f"{bought}, which may be chance; {more}. More held-out rows would tell."
