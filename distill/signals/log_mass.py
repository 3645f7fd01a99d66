"""Sums of probabilities in log space, over the ragged supports of many positions at once.

Shapes: E entries of all supports one after another, M = N + 1 starts of N positions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def log1mexp(x: NDArray[Any]) -> Any:
    """log(1 - exp(x)) for x <= 0, exact near both ends; -inf at 0."""
    with np.errstate(divide="ignore"):
        near_0 = np.log(-np.expm1(x))
        far = np.log1p(-np.exp(x))
    return np.where(x > -np.log(2.0), near_0, far).astype(x.dtype)


def segment_logsumexp(values_E: NDArray[Any], starts_M: NDArray[Any]) -> NDArray[Any]:
    """Log of the summed exponentials of each position's entries; -inf where there are none."""
    counts_N = np.diff(starts_M)
    out_N = np.full(len(counts_N), -np.inf, values_E.dtype)
    used_N = counts_N > 0
    if used_N.any():
        first = starts_M[:-1][used_N]
        top = np.maximum.reduceat(values_E, first)
        scaled_E = np.exp(values_E - np.repeat(top, counts_N[used_N]))
        out_N[used_N] = top + np.log(np.add.reduceat(scaled_E, first))
    return out_N


def renormalised(values_E: NDArray[Any], starts_M: NDArray[Any], log_mass_N: NDArray[Any]) -> Any:
    """The values shifted per position so that their mass is what is given."""
    counts_N = np.diff(starts_M)
    now_N = segment_logsumexp(values_E, starts_M)
    shift_N = log_mass_N - np.where(counts_N > 0, now_N, 0)
    return values_E + np.repeat(shift_N, counts_N)
