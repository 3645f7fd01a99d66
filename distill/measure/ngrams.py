"""Finds a text inside others: by a shared run of words, or whole where it is shorter than that."""

from collections.abc import Iterator

from distill.measure.duplicates import normalise

SHORTEST_WHOLE = 5
"""A whole text of fewer words than this is too common a phrase to be looked for inside others."""


class NgramIndex:
    """An index of texts, asked whether another text shares `n` words in a row with one of them.

    A text of fewer than `n` words is found where it stands whole in the other one.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._runs: dict[int, set[str]] = {}

    def add(self, text: str) -> None:
        """Puts a text into the index."""
        words = normalise(text).split()
        size = min(self._n, len(words))
        if size == self._n or size >= SHORTEST_WHOLE:
            self._runs.setdefault(size, set()).update(_runs(words, size))

    def hit(self, text: str) -> str | None:
        """Returns the longest indexed run of words that the text holds, or None."""
        words = normalise(text).split()
        for size in sorted(self._runs, reverse=True):
            known = self._runs[size]
            for run in _runs(words, size):
                if run in known:
                    return run
        return None


def _runs(words: list[str], size: int) -> Iterator[str]:
    for at in range(len(words) - size + 1):
        yield " ".join(words[at : at + size])
