"""Figures of a judge that scores one answer. Correlations are scipy's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distill.judge.confusion import kappa, table
from distill.judge.pairwise import NONE, agreement_figures
from distill.judge.resample import Resampler
from distill.judge.rows import JudgeRow
from distill.judge.spread import implied_order, questions_of, spread
from distill.judge.verdicts import Judged
from distill.measure.agreement import agreement
from distill.measure.intervals import Figure, nothing

CONSTANT = "gold or the scores are all the same"
MOST_CLASSES = 101


def absolute_figures(
    rows: Sequence[JudgeRow], judged: Mapping[str, Judged], seed: int
) -> dict[str, Any]:
    """Figures of CONTRACT section 6 over rows with a gold score."""
    import numpy as np

    gold = np.asarray([row.gold for row in rows], dtype=float)
    given = [judged[row.id].resolved for row in rows]
    found = np.asarray([np.nan if value is None else value for value in given], dtype=float)
    read = ~np.isnan(found)
    groups = [row.instruction or row.id for row in rows]
    resampler = Resampler(groups, seed)
    inside = Resampler([group for group, ok in zip(groups, read, strict=True) if ok], seed)
    values = sorted({*gold.tolist(), *found[read].tolist()})
    codes = {value: code for code, value in enumerate(values)}
    gold_codes = np.asarray([codes[value] for value in gold.tolist()], dtype=int)
    found_codes = np.asarray(
        [codes[value] if ok else NONE for value, ok in zip(found.tolist(), read, strict=True)],
        dtype=int,
    )
    classes = len(values)
    few = classes <= MOST_CLASSES
    none = nothing(f"more than {MOST_CLASSES} different scores", len(rows))
    agreed = agreement_figures(gold_codes, found_codes, resampler, classes) if few else {}
    return {
        "parsed": resampler.figure(lambda at: read[at].mean()),
        **dict.fromkeys(("accuracy", "accuracy_failures_wrong", "macro_f1", "kappa"), none),
        **agreed,
        "absolute": {
            **_scores(gold[read], found[read], inside),
            "self_consistency": _steadiness(judged, seed),
            "implied_order": implied_order(
                questions_of(rows, read.tolist()), gold[read].tolist(), found[read].tolist()
            ),
            "histogram": _histogram(found[read]),
            "spread": spread(gold[read].tolist(), found[read].tolist()),
        },
    }


def _scores(gold: Any, found: Any, resampler: Resampler) -> dict[str, Figure]:
    """Shapes: gold (N,), found (N,), all numbers."""
    import numpy as np
    from scipy import stats

    def correlation(measure: Callable[[Any, Any], Any]) -> Figure:
        def of(at: Any) -> float:
            mine, theirs = gold[at], found[at]
            if len(at) < 2 or np.ptp(mine) == 0 or np.ptp(theirs) == 0:
                return float("nan")
            return float(measure(mine, theirs).statistic)

        return resampler.figure(of, CONSTANT)

    return {
        "pearson": correlation(stats.pearsonr),
        "spearman": correlation(stats.spearmanr),
        "kendall": correlation(stats.kendalltau),
        "kappa_quadratic": _kappa(gold, found, resampler, "quadratic"),
        "kappa_linear": _kappa(gold, found, resampler, "linear"),
        "mae": resampler.figure(lambda at: float(np.abs(gold[at] - found[at]).mean())),
        "exact": resampler.figure(lambda at: float((gold[at] == found[at]).mean())),
        "within_1": resampler.figure(lambda at: float((np.abs(gold[at] - found[at]) <= 1).mean())),
    }


def _kappa(gold: Any, found: Any, resampler: Resampler, weights: Any) -> Figure:
    """Weighted kappa over every whole number of the scale's range, used or not."""
    import numpy as np

    if not len(gold):
        return nothing("no verdict could be read")
    both = np.concatenate([gold, found])
    if (both != np.round(both)).any():
        return nothing("scores that are not whole numbers have no weighted kappa", len(gold))
    low, high = int(both.min()), int(both.max())
    if high - low >= MOST_CLASSES:
        return nothing(f"the scale has more than {MOST_CLASSES} values", len(gold))
    mine, theirs = (gold - low).astype(int), (found - low).astype(int)
    classes = high - low + 1
    return resampler.figure(
        lambda at: kappa(table(mine[at], theirs[at], classes), weights), CONSTANT
    )


def _steadiness(judged: Mapping[str, Judged], seed: int) -> Figure:
    """Ordinal alpha over repeated readings of the same rows: a ceiling for any student."""
    runs = {
        name: {str(at): verdict.value for at, verdict in enumerate(found.by_order["ab"])}
        for name, found in judged.items()
        if len(found.by_order.get("ab", ())) > 1
    }
    if not runs:
        return nothing("every row was scored once")
    return agreement(runs, level="ordinal", seed=seed, anonymous=True).alpha


def _histogram(found: Any) -> dict[str, int]:
    import numpy as np

    values, counts = np.unique(found, return_counts=True)
    return {f"{value:g}": int(count) for value, count in zip(values, counts, strict=True)}
