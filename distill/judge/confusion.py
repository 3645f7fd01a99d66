"""Accuracy, macro F1 and kappa from counts of (gold, found): fast enough for a bootstrap.

Equal to scikit-learn's accuracy_score, f1_score(average="macro") and cohen_kappa_score (a test).
Shapes: N rows, K classes; codes are class numbers from 0 to K - 1.
"""

from typing import Any, Literal


def table(gold_N: Any, found_N: Any, classes: int) -> Any:
    """Counts (K, K): gold in rows, found in columns."""
    import numpy as np

    return np.bincount(gold_N * classes + found_N, minlength=classes * classes).reshape(
        classes, classes
    )


def macro_f1(counts_KK: Any) -> float:
    """Mean F1 of the classes that occur in gold or found."""
    import numpy as np

    either = counts_KK.sum(axis=0) + counts_KK.sum(axis=1)
    shown = either > 0
    if not shown.any():
        return float("nan")
    return float(np.mean(2 * np.diag(counts_KK)[shown] / either[shown]))


def kappa(counts_KK: Any, weights: Literal["linear", "quadratic"] | None = None) -> float:
    """Cohen's kappa (1960), or the weighted one (1968) for classes in order; NaN at one class."""
    import numpy as np

    classes, total = len(counts_KK), counts_KK.sum()
    apart = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes)))
    cost = {None: apart > 0, "linear": apart, "quadratic": apart**2}[weights]
    chance = np.outer(counts_KK.sum(axis=1), counts_KK.sum(axis=0))
    expected = (cost * chance).sum() / total if total else 0.0
    return float(1 - (cost * counts_KK).sum() / expected) if expected else float("nan")
