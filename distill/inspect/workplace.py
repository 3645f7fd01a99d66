"""Where texts are looked at one by one and compared: in this process, or in others."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from distill.measure.set_join import near_clusters
from distill.measure.words import Words

_T = TypeVar("_T")


class Workplace:
    """This process. Others override what they do elsewhere."""

    def each(self, look: Callable[[str], _T], texts: Sequence[str]) -> list[_T]:
        """What `look` says of each text, in order."""
        return [look(text) for text in texts]

    def near_clusters(
        self, words: Words, texts: Sequence[str], similarity: float
    ) -> list[list[int]]:
        """The groups of texts linked by near-duplicates, as `measure.set_join` finds them."""
        return near_clusters(words, texts, similarity)
