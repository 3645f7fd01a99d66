"""outlier: drops the rows that are far from all others (extra `semantic`)."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from distill.filters.filter import Context, text_of_value
from distill.measure.embeddings import Embedder, mean_of_nearest
from distill.recipe.filtering import OutlierFilter
from distill.rows.row import Row, Verdict

NEIGHBOURS = 10
SHARE = 0.02
MOST_NEIGHBOURS_AMONG = 20_000
"""Rows among which neighbours are looked for, evenly spread, so that time stays bounded."""


class Outlier:
    """The score is the mean cosine to the ten nearest rows of this round and those before."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: OutlierFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        self._embed = Embedder(context.model(spec.model))
        self._share = spec.share if spec.share or spec.min is not None else SHARE
        self._min = spec.min
        self._seen: list[Any] = []

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with the reason "outlier"."""
        import numpy as np

        vectors = self._embed([text_of_value(row.fields[self.needs[0]]) for row in rows])
        self._seen.append(vectors)
        others = np.concatenate(self._seen)
        step = max(1, len(others) // MOST_NEIGHBOURS_AMONG)
        scores = mean_of_nearest(vectors, others[::step], NEIGHBOURS)
        drop = set()
        if len(others) > 1 and self._share:
            worst = np.argsort(scores, kind="stable")[: math.floor(self._share * len(rows))]
            drop |= set(worst.tolist())
        if len(others) > 1 and self._min is not None:
            drop |= set(np.flatnonzero(scores < self._min).tolist())
        return [
            Verdict("outlier", at not in drop, "outlier" if at in drop else None, float(score))
            for at, score in enumerate(scores)
        ]
