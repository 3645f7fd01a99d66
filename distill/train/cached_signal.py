"""The targets of a batch looked up in a signal cache by what its rows say.

A row is decoded once and kept while memory allows. Positions that a signal says nothing of (rows
of text alone, the token that ends an API's answer) count as text: cross-entropy with weight + ce.
Shapes: N supervised tokens of a batch, row after row; M of them with a signal; K kept per token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.losses.fused_loss import HeadTargets
from distill.losses.targets import SampledTargets, SparseTargets, Targets, TokenTargets
from distill.signals.cache import SignalCache
from distill.signals.consistency import check_cache
from distill.signals.padded import padded_sampled, padded_top_k
from distill.signals.ragged import joined
from distill.signals.types import Sampled, Signal, SignalRow, TextOnly, TokenLogp, TopK
from distill.train.collate import IGNORED, EncodedRow

MEMORY_BYTES = 512 * 2**20
"""For decoded rows that later steps come back to."""


def signal_row(row: EncodedRow) -> SignalRow:
    """The row as a cache knows it: its ids, and which of them are learnt."""
    return SignalRow.of(row.id, row.input_ids_T.tolist(), (row.labels_T != IGNORED).tolist())


class CachedSignal:
    """A signal cache beside the student; every process reads it for itself."""

    def __init__(
        self, cache: SignalCache, rows: Sequence[EncodedRow], *, memory_bytes: int = MEMORY_BYTES
    ) -> None:
        self.width = cache.identity.vocabulary
        self.cache = cache
        self._rows = {row.key: signal_row(row) for row in rows}
        self._text = {row.key for row in rows if row.text_only}
        self._decoded: dict[int, Signal] = {}
        self._left = memory_bytes

    @classmethod
    def opened(cls, folder: str, rows: Sequence[EncodedRow], tokenizer: Any) -> "CachedSignal":
        """The cache of a folder, once it is known to be that of these rows.

        Raises: RecipeError for another tokenizer's cache or a teacher that only guesses, DataError
        for one that lacks rows, is damaged or scrambled.
        """
        cache = SignalCache(folder)
        cache.need_tokenizer(tokenizer)
        check_cache(cache, [signal_row(row) for row in rows if not row.text_only])
        return cls(cache, rows)

    def added(self, targets: HeadTargets, inputs: Mapping[str, Tensor]) -> HeadTargets:
        """The targets with what the teacher says of them."""
        count = len(targets.labels_N)
        if not count:  # a batch that only keeps other ranks company
            return targets
        signals = [self._signal(key) for key in inputs["keys"].tolist()]
        told_N = np.concatenate([_told(one) for one in signals])
        if not told_N.any():
            return targets
        device = targets.labels_N.device
        teacher = _targets(signals, targets.labels_N, told_N)
        signal_N = None if told_N.all() else torch.from_numpy(told_N).to(device)
        return replace(targets, teacher=teacher, signal_N=signal_N, width=self.width)

    def _signal(self, key: int) -> Signal:
        if key in self._decoded:
            return self._decoded[key]
        row = self._rows[key]
        if key in self._text:
            return TextOnly(len(row.positions_N))
        signal = self.cache.read(row)
        size = _size(signal)
        if size <= self._left:
            self._left -= size
            self._decoded[key] = signal
        return signal


def _told(signal: Signal) -> NDArray[np.bool_]:
    """Of which positions the signal says anything."""
    match signal:
        case TextOnly():
            return np.zeros(signal.positions, bool)
        case TokenLogp():
            return ~np.isnan(signal.gold_logp_N)
        case _:
            told_N: NDArray[np.bool_] = signal.counts_N > 0
            return told_N


def _targets(signals: Sequence[Signal], labels_N: Tensor, told_N: NDArray[np.bool_]) -> Targets:
    """What is said of the told positions, in the shape of their losses."""
    spoken = [one for one in signals if not isinstance(one, TextOnly)]
    told_M = np.concatenate([_told(one) for one in spoken])
    some = None if told_M.all() else torch.from_numpy(told_M)
    device = labels_N.device

    def kept(values: Tensor) -> Tensor:
        return (values if some is None else values[some]).to(device)

    if isinstance(spoken[0], TopK):
        found = padded_top_k([one for one in spoken if isinstance(one, TopK)])
        keep_MK = kept(found.keep_NK)
        return SparseTargets(
            ids_NK=kept(found.ids_NK),
            logp_NK=kept(found.logp_NK),
            log_tail_N=kept(found.log_tail_N),
            keep_NK=None if bool(keep_MK.all()) else keep_MK,
            log_normalisers={at: kept(one) for at, one in found.log_normalisers.items()} or None,
        )
    if isinstance(spoken[0], Sampled):
        drawn = padded_sampled([one for one in spoken if isinstance(one, Sampled)])
        return SampledTargets.from_counts(kept(drawn.ids_NK), kept(drawn.counts_NK))
    logp = joined([one for one in spoken if isinstance(one, TokenLogp)]).gold_logp_N
    told = torch.from_numpy(told_N).to(device)
    return TokenTargets(labels_N[told], kept(torch.from_numpy(logp)))


def _size(signal: Signal) -> int:
    """Bytes of a decoded signal."""
    if isinstance(signal, TextOnly):
        return 0
    columns = (getattr(signal, name) for name in signal.__slots__)
    return sum(column.nbytes for column in columns if isinstance(column, np.ndarray))
