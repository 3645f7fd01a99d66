"""How far raters agree: percent, Cohen, Fleiss, Krippendorff's alpha, with intervals and reasons.

Ratings are unit -> rater -> value; a value of None, or a rater who is not named, is missing.
Intervals come from a seeded bootstrap over units, except Cohen's, which is asymptotic. numpy, scipy
and statsmodels belong to the extra `evaluate`; they are imported where they are used.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

from distill.errors import PrerequisiteError, Problem
from distill.measure.intervals import CONFIDENCE, Figure, nothing, proportion

Level = Literal["nominal", "ordinal", "interval"]
Ratings = Mapping[Any, Mapping[str, Any]]

RESAMPLES = 1000
PAIRS = 200
"""Cohen is given for so many pairs of raters, those with the most units in common."""

LABELS_SHOWN = 200
"""Agreement per label is given for so many, the most frequent."""
TINY = 1e-12

NO_PAIR = "no unit has two ratings"
MOST_LABELS = 500
"""Kappa of more values than this (free text, say) means nothing, and its table would be huge."""
BATCH = 1 << 22
"""Cells of the resampling weights that are held at once."""
ONE_VALUE = "every rating is the same, so chance agreement is 1"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far raters agree on one field."""

    level: Level
    raters: int
    units: int
    """All that were given, with ratings or without."""
    units_used: int
    """Units with at least two, which alone say anything about agreement."""
    percent: Figure
    """Share of agreeing pairs of ratings, mean over units."""
    cohen: Mapping[str, Figure]
    """"a|b" -> kappa over the units that both rated (Cohen 1960)."""
    pairs_left_out: int
    """Pairs of raters beyond PAIRS."""
    fleiss: Figure
    """Over the units with the usual number of ratings (Fleiss 1971)."""
    alpha: Figure
    """Over all units with two ratings (Krippendorff 2011)."""
    by_label: Mapping[str, Figure] = field(default_factory=dict)
    """Label -> given one rating of it, the chance that another of the same unit is it too."""
    by_rater: Mapping[str, Figure] = field(default_factory=dict)
    """Rater -> share of the ratings of others, on the same units, that are the same."""

    def as_dict(self) -> dict[str, Any]:
        """The shape of CONTRACT section 5, `percent` with its interval in `percent_interval`."""
        return {
            "level": self.level,
            "raters": self.raters,
            "units": self.units,
            "units_used": self.units_used,
            "percent": self.percent.value,
            "percent_interval": self.percent.as_dict(),
            "cohen": {pair: figure.as_dict() for pair, figure in self.cohen.items()},
            "cohen_pairs_left_out": self.pairs_left_out,
            "fleiss": self.fleiss.as_dict(),
            "alpha": self.alpha.as_dict(),
            "by_label": {label: figure.as_dict() for label, figure in self.by_label.items()},
            "by_rater": {rater: figure.as_dict() for rater, figure in self.by_rater.items()},
        }


def agreement(
    ratings: Ratings,
    *,
    level: Level = "nominal",
    order: Sequence[Any] | None = None,
    anonymous: bool = False,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Agreement:
    """Returns how far raters agree.

    Args:
        ratings: Unit -> rater -> value (any JSON value; None is missing).
        level: What differences between values mean for alpha.
        order: Values from low to high, for an ordinal level whose values are not numbers.
        anonymous: Names only tell ratings of one unit apart (vote counts): no figure per rater.
        seed: Of the bootstrap.
        resamples: How many.
    """
    kept = {
        unit: {rater: _key(value) for rater, value in given.items() if value is not None}
        for unit, given in ratings.items()
    }
    kept = {unit: given for unit, given in kept.items() if given}
    values = {_key(value): value for given in ratings.values() for value in given.values()}
    values.pop(_key(None), None)
    used = {unit: given for unit, given in kept.items() if len(given) > 1}
    sizes = Counter(len(given) for given in kept.values())
    raters = {rater for given in kept.values() for rater in given}
    labels, why = _ordered(values, level, order)
    table = _table(list(used.values()), labels)
    positions = _positions(values, labels) if level == "interval" and not why else None
    pooled = _pooled(table, positions, level, seed, resamples)
    cohen, left_out = ({}, 0) if anonymous else _cohen(used)
    return Agreement(
        level=level,
        raters=max(sizes, default=0) if anonymous else len(raters),
        units=len(ratings),
        units_used=len(used),
        percent=pooled.percent,
        cohen=cohen,
        pairs_left_out=left_out,
        fleiss=pooled.fleiss,
        alpha=nothing(why, len(used)) if why else pooled.alpha,
        by_label={labels[at]: figure for at, figure in pooled.by_label.items()},
        by_rater={} if anonymous else _by_rater(used),
    )


def _key(value: Any) -> str:
    """What tells values apart. Text is itself, and a file may hold 1, 1.0 or "1" for one label."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _ordered(
    values: Mapping[str, Any], level: Level, order: Sequence[Any] | None
) -> tuple[list[str], str | None]:
    """The labels from low to high, and why that cannot be told where it cannot."""
    if level == "nominal":
        return sorted(values), None
    if order is not None and level == "ordinal":
        given = [_key(value) for value in order]
        odd = sorted(set(values) - set(given))
        return [*given, *odd], f"{odd[0]!r} is not on the scale" if odd else None
    numbers = {label: _number(value) for label, value in values.items()}
    odd = sorted(label for label, number in numbers.items() if number is None)
    if odd:
        return sorted(values), f"{odd[0]!r} is not a number, as the level {level} asks"
    return sorted(values, key=lambda label: numbers[label] or 0.0), None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _positions(values: Mapping[str, Any], labels: Sequence[str]) -> list[float]:
    return [_number(values[label]) or 0.0 for label in labels]


@dataclass(frozen=True, slots=True)
class _Pooled:
    """Figures over all raters at once."""

    percent: Figure
    fleiss: Figure
    alpha: Figure
    by_label: Mapping[int, Figure]


def _table(units: Sequence[Mapping[str, str]], labels: Sequence[str]) -> Any:
    """Sparse counts, units x labels: how many ratings of each label a unit has."""
    sparse = _scipy_sparse()
    column = {label: at for at, label in enumerate(labels)}
    places = [(at, column[label]) for at, given in enumerate(units) for label in given.values()]
    rows, columns = zip(*places, strict=True) if places else ((), ())
    shape = (len(units), len(labels))
    return sparse.csr_array(([1.0] * len(places), (rows, columns)), shape=shape)


def _pooled(
    table: Any, positions: Sequence[float] | None, level: Level, seed: int, resamples: int
) -> _Pooled:
    """Percent, Fleiss, alpha and agreement per label, with bootstrap intervals over units.

    Resampling units is drawing how often each of them counts, so every figure is written as a
    function of unit weights: weights (R, U), counts (U, K).
    """
    import numpy as np

    units = table.shape[0]
    if units == 0:
        none = nothing(NO_PAIR)
        return _Pooled(none, none, none, {})
    measures = _Measures(table, positions, level)
    whole = measures.of(np.ones((1, units)))
    rng = np.random.default_rng(seed)
    rest = []
    batch = max(1, BATCH // max(units, table.shape[1]))
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        rest.append(measures.of(rng.multinomial(units, np.full(units, 1 / units), size=size)))
    drawn = {name: np.concatenate([part[name] for part in rest]) for name in whole}
    used = {"percent": units, "alpha": units, "fleiss": int(measures.usual.sum())}
    figures = {
        name: _figure(whole[name][0], drawn[name], used[name]) for name in ("percent", "alpha")
    }
    if measures.complete_ratings > 1:
        figures["fleiss"] = _figure(whole["fleiss"][0], drawn["fleiss"], used["fleiss"])
    by_label = {
        int(at): _figure(whole["label"][0, place], drawn["label"][:, place], int(total))
        for place, (at, total) in enumerate(measures.labels_shown)
    }
    return _Pooled(figures["percent"], figures["fleiss"], figures["alpha"], by_label)


class _Measures:
    """Every pooled figure as a function of how often each unit counts."""

    def __init__(self, table: Any, positions: Sequence[float] | None, level: Level) -> None:
        import numpy as np

        self.counts, self.level = table, level
        self.positions = None if positions is None else np.asarray(positions)
        self.ratings = np.asarray(table.sum(axis=1)).ravel()
        squares = table.multiply(table)
        self.same = np.asarray(squares.sum(axis=1)).ravel() - self.ratings
        self.pairs = self.ratings * (self.ratings - 1)
        sizes, often = np.unique(self.ratings, return_counts=True)
        # The number of ratings that most units have; of equals the larger.
        self.complete_ratings = int(sizes[len(often) - 1 - int(np.argmax(often[::-1]))])
        self.usual = self.ratings == self.complete_ratings
        totals = np.asarray(table.sum(axis=0)).ravel()
        shown = np.argsort(-totals, kind="stable")[:LABELS_SHOWN]
        self.labels_shown = [(at, totals[at]) for at in sorted(shown) if totals[at]]
        places = [at for at, _ in self.labels_shown]
        scaled = _scipy_sparse().diags_array(1 / (self.ratings - 1)) @ (squares - table)
        self.label_same = scaled.tocsc()[:, places]
        self.label_all = table.tocsc()[:, places]

    def of(self, weights: Any) -> dict[str, Any]:
        """Figures for weights (R, U); NaN where one is not defined."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            share = self.same / self.pairs
            found = {
                "percent": weights @ share / weights.sum(axis=1),
                "fleiss": self._fleiss(weights, share),
                "alpha": self._alpha(weights),
                "label": (weights @ self.label_same) / (weights @ self.label_all),
            }
        return found

    def _fleiss(self, weights: Any, share: Any) -> Any:
        """(P - Pe) / (1 - Pe) over the units with the usual number of ratings (Fleiss 1971)."""
        chosen = weights * self.usual
        totals = chosen @ self.counts
        chance = ((totals / totals.sum(axis=1, keepdims=True)) ** 2).sum(axis=1)
        observed = chosen @ share / chosen.sum(axis=1)
        return (observed - chance) / _or_nan(1 - chance)

    def _alpha(self, weights: Any) -> Any:
        """1 - Do / De with missing ratings (Krippendorff 2011, section E).

        Ordinal differences are differences of midranks, so they fall under the interval formula.
        """
        totals = weights @ self.counts
        n = totals.sum(axis=1)
        if self.level == "nominal":
            apart = (self.pairs - self.same) / (self.ratings - 1)
            observed = weights @ apart
            expected = (n**2 - (totals**2).sum(axis=1)) / (n - 1)
            return 1 - observed / _or_nan(expected)
        place = self.positions
        if place is None:
            place = totals.cumsum(axis=1) - totals / 2
        elif place.ndim == 1:
            place = (place - place.mean()).reshape(1, -1)
        sums = (self.counts @ place.T).T
        squares = (self.counts @ (place**2).T).T
        within = (self.ratings * squares - sums**2) / (self.ratings - 1)
        observed = 2 * (weights * within).sum(axis=1)
        total = (totals * place).sum(axis=1)
        expected = 2 * (n * (totals * place**2).sum(axis=1) - total**2) / (n - 1)
        return 1 - observed / _or_nan(expected)


def _or_nan(denominator: Any) -> Any:
    import numpy as np

    return np.where(np.abs(denominator) < TINY, np.nan, denominator)


def _figure(value: float, drawn: Any, n: int) -> Figure:
    """The value with the percentile interval of its resamples, where it is defined."""
    import numpy as np

    if not math.isfinite(value):
        return nothing(ONE_VALUE, n)
    finite = drawn[np.isfinite(drawn)]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(finite, [tail, 1 - tail]) if len(finite) else (None, None)
    return Figure(
        float(value), None if low is None else float(low), None if high is None else float(high), n
    )


def _cohen(used: Mapping[Any, Mapping[str, str]]) -> tuple[dict[str, Figure], int]:
    """Kappa per pair of raters, those with most units in common first where they are many."""
    shared: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for given in used.values():
        for one, other in combinations(sorted(given), 2):
            shared.setdefault((one, other), []).append((given[one], given[other]))
    pairs = sorted(shared, key=lambda pair: (-len(shared[pair]), pair))
    kept = sorted(pairs[:PAIRS])
    return {"|".join(pair): _kappa(shared[pair]) for pair in kept}, len(pairs) - len(kept)


def _kappa(ratings: Sequence[tuple[str, str]]) -> Figure:
    import numpy as np
    from statsmodels.stats.inter_rater import cohens_kappa

    labels = sorted({label for pair in ratings for label in pair})
    if len(labels) == 1:
        return nothing(ONE_VALUE, len(ratings))
    if len(labels) > MOST_LABELS:
        return nothing(f"more than {MOST_LABELS} different values", len(ratings))
    at = {label: place for place, label in enumerate(labels)}
    table = np.zeros((len(labels), len(labels)))
    for one, other in ratings:
        table[at[one], at[other]] += 1
    with np.errstate(divide="ignore", invalid="ignore"):
        found = cohens_kappa(table)
    value, low, high = (float(x) for x in (found.kappa, found.kappa_low, found.kappa_upp))
    if not math.isfinite(low):  # a rater who always says the same leaves no variance to go by
        return Figure(value, None, None, len(ratings))
    return Figure(value, max(-1.0, low), min(1.0, high), len(ratings))


def _by_rater(used: Mapping[Any, Mapping[str, str]]) -> dict[str, Figure]:
    same: Counter[str] = Counter()
    pairs: Counter[str] = Counter()
    for given in used.values():
        counts = Counter(given.values())
        for rater, label in given.items():
            same[rater] += counts[label] - 1
            pairs[rater] += len(given) - 1
    return {rater: proportion(same[rater], pairs[rater]) for rater in sorted(pairs)}


def _scipy_sparse() -> Any:
    try:
        import statsmodels  # noqa: F401  the same extra; asked for before anything is computed
        from scipy import sparse
    except ImportError as missing:
        line = "pip install 'distill-kit[evaluate]'"
        raise PrerequisiteError(
            f"{missing.name} is not installed; agreement needs it: {line}",
            [Problem(found=f"package {missing.name} is missing", fix=line)],
        ) from missing
    return sparse
