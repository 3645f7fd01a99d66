"""Whether a judge's probabilities mean what they say: ECE, Brier score, reliability, hand-off.

Source: Guo et al. 2017, arXiv:1706.04599 (ECE); bins of equal mass, so that none is empty.
"""

from typing import Any

from distill.judge.resample import Resampler

BINS = 10
SHARES = (1.0, 0.9, 0.75, 0.5, 0.25, 0.1)
LEAST = 20


def calibration(p_N: Any, right_N: Any, resampler: Resampler) -> dict[str, Any]:
    """Figures of confidence p against being right, and whom to hand off.

    Shapes: p (N,) in [0, 1], right (N,) bool.
    Returns: n, ece, brier, bins [{n, p, accuracy}], selective [{share, above, accuracy}].
    """
    import numpy as np

    return {
        "n": len(p_N),
        "ece": resampler.figure(lambda at: expected_error(p_N[at], right_N[at])),
        "brier": resampler.figure(lambda at: float(((p_N[at] - right_N[at]) ** 2).mean())),
        "bins": [
            {
                "n": len(part),
                "p": float(p_N[part].mean()),
                "accuracy": float(right_N[part].mean()),
            }
            for part in _bins(p_N)
        ],
        "selective": _selective(np.asarray(p_N), right_N),
    }


def expected_error(p_N: Any, right_N: Any) -> float:
    """Mean distance of confidence and accuracy over bins of equal mass, weighted by their rows."""
    total = sum(
        abs(float(p_N[part].mean()) - float(right_N[part].mean())) * len(part)
        for part in _bins(p_N)
    )
    return total / len(p_N) if len(p_N) else float("nan")


def _bins(p_N: Any) -> list[Any]:
    import numpy as np

    order = np.argsort(p_N, kind="stable")
    return [part for part in np.array_split(order, min(BINS, len(order))) if len(part)]


def _selective(p_N: Any, right_N: Any) -> list[dict[str, float]]:
    """Accuracy on the most confident share of rows: where to hand the rest to people."""
    import numpy as np

    order = np.argsort(-p_N, kind="stable")
    found = []
    for share in SHARES:
        kept = order[: round(share * len(order))]
        if len(kept) < LEAST:
            continue
        above = float(p_N[kept].min())
        found.append({"share": share, "above": above, "accuracy": float(right_N[kept].mean())})
    return found


def threshold_for(p_N: Any, right_N: Any, accuracy: float) -> float | None:
    """The lowest confidence above which at least `accuracy` of the rows are right."""
    import numpy as np

    order = np.argsort(-p_N, kind="stable")
    share = np.cumsum(right_N[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(share >= accuracy)[0]
    return float(p_N[order][enough[-1]]) if len(enough) else None
