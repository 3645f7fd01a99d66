"""Figures of a judge that compares two answers, in one order or both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import PrerequisiteError, Problem
from distill.judge.confusion import kappa, macro_f1, table
from distill.judge.labels import WINNERS
from distill.judge.resample import Resampler
from distill.judge.rows import JudgeRow
from distill.judge.verdicts import Judged, Order
from distill.measure.intervals import Figure, nothing

ONE_ORDER = "the verdicts are of one order only"
CODES = {winner: code for code, winner in enumerate(WINNERS)}
NONE = -1


@dataclass(frozen=True, slots=True)
class Readings:
    """Verdicts as class numbers, one per row in the same order; NONE where there is none."""

    gold_N: Any
    found_N: Any
    """Both orders as one verdict."""
    by_order: Mapping[Order, Any]
    groups: Sequence[str]

    @classmethod
    def of(cls, rows: Sequence[JudgeRow], judged: Mapping[str, Judged]) -> "Readings":
        """The verdicts of rows that have a gold winner."""
        import numpy as np

        orders = next(iter(judged.values())).by_order if judged else {}
        return cls(
            gold_N=np.asarray([_code(row.gold) for row in rows], dtype=int),
            found_N=np.asarray([_code(judged[row.id].resolved) for row in rows], dtype=int),
            by_order={
                order: np.asarray([_code(judged[row.id].value(order)) for row in rows], dtype=int)
                for order in orders
            },
            groups=[row.instruction or row.id for row in rows],
        )


def pairwise_figures(readings: Readings, seed: int) -> dict[str, Any]:
    """Figures of CONTRACT section 6 over rows with a gold winner, and `position`."""
    gold, found, resampler = readings.gold_N, readings.found_N, Resampler(readings.groups, seed)
    both = len(readings.by_order) == 2
    return {
        "parsed": resampler.figure(lambda at: (found[at] != NONE).mean()),
        **agreement_figures(gold, found, resampler, len(WINNERS)),
        "order_ab": _of_order(readings, "ab", resampler),
        "order_ba": _of_order(readings, "ba", resampler),
        "both_right": _both_right(readings, resampler) if both else nothing(ONE_ORDER),
        "consistency": _consistency(readings, resampler) if both else nothing(ONE_ORDER),
        "position": position(readings),
        "tie_recall": _tie_recall(gold, found, resampler),
    }


def agreement_figures(
    gold: Any, found: Any, resampler: Resampler, classes: int
) -> dict[str, Figure]:
    """Accuracy over parsed rows and with failures as wrong, macro_f1 and kappa over parsed rows.

    Shapes: gold (N,) class numbers, found (N,) class numbers or NONE.
    """

    def parsed(at: Any) -> Any:
        return at[found[at] != NONE]

    def share(at: Any) -> float:
        read = parsed(at)
        return float((gold[read] == found[read]).mean()) if len(read) else float("nan")

    none = "no verdict could be read"
    return {
        "accuracy": resampler.figure(share, none),
        "accuracy_failures_wrong": resampler.figure(lambda at: (gold[at] == found[at]).mean()),
        "macro_f1": resampler.figure(
            lambda at: macro_f1(table(gold[parsed(at)], found[parsed(at)], classes)), none
        ),
        "kappa": resampler.figure(
            lambda at: kappa(table(gold[parsed(at)], found[parsed(at)], classes)),
            "gold and verdicts are one and the same class",
        ),
    }


def position(readings: Readings) -> dict[str, Any]:
    """Whether flips lean to the answer shown first or second: exact binomial test on the flips."""
    if len(readings.by_order) < 2:
        return {"first": None, "second": None, "p": None, "flips": None, "why": ONE_ORDER}
    ab, ba = readings.by_order["ab"], readings.by_order["ba"]
    a, b = CODES["a"], CODES["b"]
    first = int(((ab == a) & (ba == b)).sum())
    second = int(((ab == b) & (ba == a)).sum())
    flips = int(((ab != ba) & (ab != NONE) & (ba != NONE)).sum())
    return {"first": first, "second": second, "p": _binomial(first, second), "flips": flips}


def _binomial(first: int, second: int) -> float | None:
    if first + second == 0:
        return None
    try:
        from scipy.stats import binomtest
    except ImportError as missing:
        line = "pip install 'distill-kit[evaluate]'"
        raise PrerequisiteError(
            f"scipy is not installed; the position test needs it: {line}",
            [Problem(found="package scipy is missing", fix=line)],
        ) from missing
    return float(binomtest(first, first + second, 0.5).pvalue)


def _of_order(readings: Readings, order: Order, resampler: Resampler) -> Figure:
    """Accuracy over the rows that could be read in one order."""
    found = readings.by_order.get(order)
    if found is None:
        return nothing(f"no verdicts of the order {order}")

    def share(at: Any) -> float:
        read = at[found[at] != NONE]
        return float((found[read] == readings.gold_N[read]).mean()) if len(read) else float("nan")

    return resampler.figure(share, "no verdict could be read")


def _both_right(readings: Readings, resampler: Resampler) -> Figure:
    ab, ba, gold = readings.by_order["ab"], readings.by_order["ba"], readings.gold_N
    return resampler.figure(lambda at: ((ab[at] == gold[at]) & (ba[at] == gold[at])).mean())


def _consistency(readings: Readings, resampler: Resampler) -> Figure:
    ab, ba = readings.by_order["ab"], readings.by_order["ba"]

    def share(at: Any) -> float:
        read = at[(ab[at] != NONE) & (ba[at] != NONE)]
        return float((ab[read] == ba[read]).mean()) if len(read) else float("nan")

    return resampler.figure(share, "no row could be read in both orders")


def _tie_recall(gold: Any, found: Any, resampler: Resampler) -> Figure:
    def share(at: Any) -> float:
        ties = at[gold[at] == CODES["tie"]]
        return float((found[ties] == CODES["tie"]).mean()) if len(ties) else float("nan")

    return resampler.figure(share, "gold holds no tie")


def _code(value: Any) -> int:
    return NONE if value is None else CODES[value]
