"""The `token` signal of what the student has just written: a served teacher scores each token.

Shapes: N supervised tokens of a batch, row after row; M of them scored.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.losses.fused_loss import HeadTargets
from distill.losses.targets import TokenTargets
from distill.signals.scorer import TokenScorer
from distill.signals.types import SignalRow
from distill.train.collate import IGNORED, signalled, unpacked


class ScoredSignal:
    """Asks a scorer about every row of a batch."""

    def __init__(self, scorer: TokenScorer, tokenizer: Any) -> None:
        self._scorer = scorer
        self._tokenizer = tokenizer

    def added(self, targets: HeadTargets, inputs: Mapping[str, Tensor]) -> HeadTargets:
        """The targets with the teacher's log-probability of each token that was written."""
        told_B = ~inputs["text_only"] & (inputs["counts"] > 0)
        if not bool(told_B.any()):
            return targets
        alone = unpacked(inputs, told_B)
        rows = [
            SignalRow.of(str(at), ids[:length], [label != IGNORED for label in labels[:length]])
            for at, (ids, labels, length) in enumerate(
                zip(
                    alone["input_ids"].tolist(),
                    alone["labels"].tolist(),
                    inputs["lengths"][told_B].tolist(),
                    strict=True,
                )
            )
        ]
        scores = self._scorer.token_logp(rows, self._tokenizer)
        logp_M = torch.from_numpy(np.concatenate([one.gold_logp_N for one in scores]))
        signal_N = signalled(inputs)
        teacher = TokenTargets(targets.labels_N[signal_N], logp_M.to(targets.labels_N.device))
        return replace(targets, teacher=teacher, signal_N=None if signal_N.all() else signal_N)
