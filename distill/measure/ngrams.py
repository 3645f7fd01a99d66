"""Finds a text inside others: by a shared run of words, whole, or by the share that is there."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from distill.measure.duplicates import normalise, shingles

SHORTEST_WHOLE = 5
"""A whole text of fewer words than this is too common a phrase to be looked for inside others."""


LEAST_PARTS = 20
"""A text of fewer runs of three words shares half of them with others by chance (banking77: 963 of
10,003 training texts; gsm8k, whose texts are longer: 4 of 7,473)."""


class NgramIndex:
    """An index of texts, asked whether another text shares `n` words in a row with one of them.

    A text of fewer than `n` words is found where it stands whole in the other one.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._runs: dict[int, set[str]] = {}
        self._first = min(n, SHORTEST_WHOLE)
        self._openings: set[str] = set()
        """The first words of every run: one look-up says where a longer run can begin at all."""
        self._pairs: set[tuple[str, str]] = set()
        """The first two of them, which cost less to look up."""

    def add(self, text: str) -> None:
        """Puts a text into the index."""
        words = normalise(text).split()
        size = min(self._n, len(words))
        if size == self._n or size >= SHORTEST_WHOLE:
            self._runs.setdefault(size, set()).update(_runs(words, size))
            last = len(words) - size + self._first
            self._openings.update(_runs(words[:last], self._first))
            self._pairs.update(pairwise(words[:last]))

    def hit(self, text: str) -> str | None:
        """Returns the longest indexed run of words that the text holds, or None."""
        words = normalise(text).split()
        first, openings = self._first, self._openings
        likely: Iterable[int] = range(len(words) - first + 1)
        if first > 1:
            pairs = pairwise(words)
            likely = [at for at, pair in enumerate(pairs) if pair in self._pairs]
        starts = [at for at in likely if " ".join(words[at : at + first]) in openings]
        for size in sorted(self._runs, reverse=True) if starts else ():
            known = self._runs[size]
            for at in starts:
                run = " ".join(words[at : at + size])
                if run in known:
                    return run
        return None


class Containment:
    """An index of texts, asked how much of one of them stands in another text, reworded or not.

    Measured in runs of three words: a text in which every sixth word was changed still holds 0.4
    of them, though no long run is left.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._sizes: list[int] = []
        self._holders: dict[str, list[int]] = {}

    def add(self, text: str) -> None:
        """Puts a text into the index; one of fewer than LEAST_PARTS runs is left out."""
        parts = shingles(text)
        if len(parts) < LEAST_PARTS:
            return
        for part in parts:
            self._holders.setdefault(part, []).append(len(self._sizes))
        self._sizes.append(len(parts))

    def share(self, text: str) -> float | None:
        """Returns the largest share of an indexed text that the text holds, None below `least`."""
        held: Counter[int] = Counter()
        for part in shingles(text):
            if part in self._holders:
                held.update(self._holders[part])
        shares = (count / self._sizes[at] for at, count in held.items())
        best = max(shares, default=0.0)
        return best if best >= self._least else None


def _runs(words: list[str], size: int) -> Iterator[str]:
    for at in range(len(words) - size + 1):
        yield " ".join(words[at : at + size])
