"""Finds texts that are nearly the same: MinHash proposes pairs, exact Jaccard of shingles decides.

A text is kept as 64-bit hashes of its shingles (8 bytes each), so a million rows fit in memory.
Shingles are runs of words; a text of fewer words than one run is compared by runs of characters.
"""

import re
import unicodedata
from array import array
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from rensa import RMinHash, RMinHashLSH

PERMUTATIONS = 128
MISS = 1e-4
"""Largest chance that two texts exactly as similar as the threshold are never compared."""
MINHASH_SEED = 1

_APOSTROPHES = re.compile("(?<=\\w)['\u2019\u02bc](?=\\w)")
_MARKS = re.compile(r"[^\w\s]|_")


def normalise(text: str) -> str:
    """Returns the text without the differences that do not count: case, white space, punctuation.

    Symbols such as + or an emoji stay. A text of punctuation alone keeps it.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = _MARKS.sub(_blank_punctuation, _APOSTROPHES.sub("", folded))
    return " ".join(plain.split()) or " ".join(folded.split())


def shingles(text: str, ngram: int = 3) -> frozenset[str]:
    """Returns the word n-grams of a text, or its character n-grams where it has too few words."""
    plain = normalise(text)
    words = plain.split(" ")
    if len(words) >= ngram:
        return frozenset(" ".join(words[at : at + ngram]) for at in range(len(words) - ngram + 1))
    return frozenset(plain[at : at + ngram] for at in range(max(1, len(plain) - ngram + 1)))


class NearDuplicates:
    """An index of texts that can be asked for one at least `similarity` alike (Jaccard)."""

    def __init__(self, similarity: float, ngram: int = 3) -> None:
        self._similarity = similarity
        self._ngram = ngram
        self._lsh = RMinHashLSH(similarity, PERMUTATIONS, _bands(similarity))
        self._ids: list[str] = []
        self._hashes: list[array[int]] = []
        self._last: tuple[str, _Sketch] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    def find(self, id: str, text: str) -> tuple[str, float] | None:
        """Returns the most similar indexed text (its id and similarity), the earliest of equals."""
        return max(self.all(id, text), key=lambda pair: pair[1], default=None)

    def all(self, id: str, text: str) -> list[tuple[str, float]]:
        """Returns every indexed text that is similar enough, in the order they were added."""
        return list(self.each(id, text))

    def each(
        self, id: str, text: str, skip: Callable[[str], bool] = lambda _: False
    ) -> Iterator[tuple[str, float]]:
        """Yields what `all` returns, without comparing those that `skip` names by then."""
        sketch = self._sketch(text)
        own = frozenset(sketch.hashes)
        for at in sorted(set(self._lsh.query(sketch.minhash))):
            if self._ids[at] == id or skip(self._ids[at]):
                continue
            similarity = _jaccard(own, self._hashes[at])
            if similarity >= self._similarity:
                yield self._ids[at], similarity

    def add(self, id: str, text: str) -> None:
        """Puts a text into the index."""
        sketch = self._sketch(text)
        self._lsh.insert(len(self._ids), sketch.minhash)
        self._ids.append(id)
        self._hashes.append(sketch.hashes)

    def _sketch(self, text: str) -> "_Sketch":
        # A text is nearly always added right after it was looked for.
        if self._last is None or self._last[0] != text:
            self._last = (text, _sketch(text, self._ngram))
        return self._last[1]


def clusters(texts: Mapping[str, str], similarity: float) -> dict[str, str]:
    """Returns row id -> smallest id of its cluster (rows linked by chains of near-duplicates)."""
    cluster = {id: id for id in texts}

    def root(id: str) -> str:
        while cluster[id] != id:
            cluster[id] = id = cluster[cluster[id]]
        return id

    def join(one: str, other: str) -> None:
        low, high = sorted((root(one), root(other)))
        cluster[high] = low

    def joined(one: str, other: str) -> bool:
        return root(one) == root(other)

    index = NearDuplicates(similarity)
    first: dict[str, str] = {}
    for id in sorted(texts):
        plain = normalise(texts[id])
        if plain in first:
            # Exact copies need no comparison; this keeps a heap of them from costing its square.
            join(first[plain], id)
            continue
        first[plain] = id
        # One match joins a whole cluster; the rest of it need not be compared again.
        for other, _ in index.each(id, texts[id], partial(joined, id)):
            join(id, other)
        index.add(id, texts[id])
    return {id: root(id) for id in texts}


class _Sketch(NamedTuple):
    minhash: RMinHash
    hashes: "array[int]"


def _sketch(text: str, ngram: int) -> _Sketch:
    parts = sorted(shingles(text, ngram))
    [minhash] = RMinHash.from_token_sets([parts], PERMUTATIONS, MINHASH_SEED)
    [hashes] = RMinHash.hash_token_sets([parts])
    return _Sketch(minhash, array("Q", sorted(set(hashes))))


def _jaccard(own: frozenset[int], other: "array[int]") -> float:
    shared = len(own.intersection(other))
    return shared / (len(own) + len(other) - shared)


def _bands(similarity: float) -> int:
    """The fewest bands that let at most MISS of the pairs at the threshold slip through."""
    rows = PERMUTATIONS
    while rows > 1 and (1 - similarity**rows) ** (PERMUTATIONS // rows) > MISS:
        rows //= 2
    return PERMUTATIONS // rows


def _blank_punctuation(match: re.Match[str]) -> str:
    return " " if unicodedata.category(match[0]).startswith("P") else match[0]
