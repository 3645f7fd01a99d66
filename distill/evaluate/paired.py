"""Two systems on the same rows: is the difference more than chance?"""

from collections.abc import Sequence
from typing import Any

from distill.errors import PrerequisiteError, Problem
from distill.measure.intervals import Figure, bootstrap

RESAMPLES = 9999


def paired(first: Sequence[float], second: Sequence[float], seed: int = 0) -> dict[str, Any]:
    """Mean difference (second minus first) with its interval, and the p of a two-sided test.

    Right or wrong: McNemar's exact test (1947) on the rows that only one got right. Graded scores:
    a permutation test that flips the signs of the differences.

    Returns: n, difference (Figure), p (None where no row differs), test.
    """
    differences = [b - a for a, b in zip(first, second, strict=True)]
    difference: Figure = bootstrap(differences, seed, resamples=1000)
    binary = {*first, *second} <= {0.0, 1.0}
    test = "mcnemar" if binary else "permutation"
    p = None
    if any(differences):
        p = _mcnemar(differences) if binary else _permutation(differences, seed)
    return {"n": len(differences), "difference": difference, "p": p, "test": test}


def _mcnemar(differences: Sequence[float]) -> float:
    stats = _scipy_stats()
    better, worse = differences.count(1.0), differences.count(-1.0)
    return float(stats.binomtest(better, better + worse, 0.5).pvalue)


def _permutation(differences: Sequence[float], seed: int) -> float:
    import numpy as np

    stats = _scipy_stats()
    found = stats.permutation_test(
        (np.asarray(differences),),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError as missing:
        line = "pip install 'distill-kit[evaluate]'"
        raise PrerequisiteError(
            f"scipy is not installed; paired tests need it: {line}",
            [Problem("package scipy is missing", fix=line)],
        ) from missing
    return stats
