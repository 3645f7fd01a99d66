"""Rows judged and texts compared on the workers of a cluster."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from distill.filters.filter import Judged
from distill.rows.row import Row
from distill.run.on_ray.cluster import Cluster, arriving
from distill.run.on_ray.near import nearest_kept

_T = TypeVar("_T")

ROWS = 1000
"""Ray needs a second to begin; so many rows take about as long."""
TEXTS = 20_000
"""Comparing needs a shuffle, some seconds more; one process compares so many in about two."""
MOST = 5000
"""Rows of a block."""


class Workers:
    """What filters take to have rows judged elsewhere."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.rows = ROWS
        self.texts = TEXTS

    async def judged(
        self, stretch: Callable[[Sequence[Row]], list[Judged]], rows: Sequence[Row]
    ) -> list[Judged]:
        """What the filters of a stretch make of rows, in order."""
        blocks = blocks_of(rows, self._cluster.cpus)
        found: dict[int, list[Judged]] = {}
        async with aclosing(arriving(partial(self._cluster.mapped, stretch, blocks))) as done:
            async for at, judged in done:
                found[at] = judged
        return [one for at in range(len(blocks)) for one in found[at]]

    async def distinct(self, texts: Sequence[str], similarity: float) -> list[float | None]:
        """For each text the largest similarity to one kept before it, None where it is kept."""

        def compare() -> Iterator[list[float | None]]:
            yield nearest_kept(self._cluster, texts, similarity)

        async with aclosing(arriving(compare)) as done:
            return await anext(done)


def blocks_of(items: Sequence[_T], cpus: int) -> list[Sequence[_T]]:
    """The items in blocks: some for each processor, none too large."""
    size = min(MOST, max(1, math.ceil(len(items) / (2 * cpus))))
    return [items[at : at + size] for at in range(0, len(items), size)]
