"""Ragged signals of a batch's rows as rectangular tensors, in the shapes that the losses take.

Shapes: N positions of all rows one after another, K the widest support.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.signals.ragged import joined
from distill.signals.types import Sampled, TopK


@dataclass(frozen=True, slots=True)
class PaddedTopK:
    """Supports with their tails."""

    ids_NK: Tensor
    """0 where there is no entry."""
    logp_NK: Tensor
    """-inf where there is no entry."""
    keep_NK: Tensor
    log_tail_N: Tensor
    gold_logp_N: Tensor
    log_normalisers: Mapping[float, Tensor]
    """By temperature, besides 1: (N)."""


@dataclass(frozen=True, slots=True)
class PaddedSampled:
    """Draws with their counts."""

    ids_NK: Tensor
    """0 where there is no entry."""
    counts_NK: Tensor
    """0 where there is no entry."""
    gold_logp_N: Tensor


def padded_top_k(signals: Sequence[TopK]) -> PaddedTopK:
    """The supports of all rows."""
    whole = joined(signals)
    keep_NK = _keep(whole.counts_N)
    normalisers = zip(whole.temperatures, whole.log_normalisers_DN, strict=True)
    return PaddedTopK(
        ids_NK=_spread(whole.ids_E.astype(np.int64), keep_NK, 0),
        logp_NK=_spread(whole.logp_E, keep_NK, -np.inf),
        keep_NK=torch.from_numpy(keep_NK),
        log_tail_N=torch.tensor(whole.log_tail_N),
        gold_logp_N=torch.tensor(whole.gold_logp_N),
        log_normalisers={temperature: torch.tensor(row_N) for temperature, row_N in normalisers},
    )


def padded_sampled(signals: Sequence[Sampled]) -> PaddedSampled:
    """The draws of all rows."""
    whole = joined(signals)
    keep_NK = _keep(whole.counts_N)
    return PaddedSampled(
        ids_NK=_spread(whole.ids_E.astype(np.int64), keep_NK, 0),
        counts_NK=_spread(whole.counts_E.astype(np.int64), keep_NK, 0),
        gold_logp_N=torch.tensor(whole.gold_logp_N),
    )


def _keep(counts_N: NDArray[Any]) -> NDArray[np.bool_]:
    widest = max(int(counts_N.max(initial=0)), 1)
    keep_NK: NDArray[np.bool_] = np.arange(widest)[None] < counts_N[:, None]
    return keep_NK


def _spread(values_E: NDArray[Any], keep_NK: NDArray[np.bool_], fill: float) -> Tensor:
    out_NK = np.full(keep_NK.shape, fill, values_E.dtype)
    out_NK[keep_NK] = values_E
    return torch.from_numpy(out_NK)
