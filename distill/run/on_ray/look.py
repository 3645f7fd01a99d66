"""Texts of a dataset that is inspected, looked at and compared on the workers of a cluster."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from distill.inspect.workplace import Workplace
from distill.measure.set_join import near_clusters
from distill.measure.words import Words
from distill.run.on_ray.cluster import Cluster
from distill.run.on_ray.join import join
from distill.run.on_ray.sift import ROWS, TEXTS, blocks_of

_T = TypeVar("_T")


class ClusterPlace(Workplace):
    """All nodes of a cluster; few texts are looked at in this process."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.least_rows = ROWS
        self.least_texts = TEXTS

    def each(self, look: Callable[[str], _T], texts: Sequence[str]) -> list[_T]:
        """What `look` says of each text, in order."""
        if len(texts) < self.least_rows:
            return super().each(look, texts)
        blocks = blocks_of(texts, self._cluster.cpus)
        found = dict(self._cluster.mapped(partial(_looked, look), blocks))
        return [one for at in range(len(blocks)) for one in found[at]]

    def near_clusters(
        self, words: Words, texts: Sequence[str], similarity: float
    ) -> list[list[int]]:
        """The groups of texts linked by near-duplicates."""
        if len(texts) < self.least_texts:
            return super().near_clusters(words, texts, similarity)
        return near_clusters(words, texts, similarity, partial(join, self._cluster))


def _looked(look: Callable[[str], _T], texts: Sequence[str]) -> list[_T]:
    return [look(text) for text in texts]
