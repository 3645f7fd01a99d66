"""Finds texts that are nearly the same: MinHash proposes pairs, exact Jaccard of shingles decides.

A text is kept as 64-bit hashes of its shingles (8 bytes each), so millions of rows fit in memory.
Shingles are runs of words; a text of fewer words than one run is compared by runs of characters.
"""

import math
import re
import struct
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

from rensa import RMinHash, RMinHashLSH

NGRAM = 3
"""Words of a shingle; characters in a text of fewer words."""
PERMUTATIONS = 72
"""At most; as many as the bands need."""
MOST = 1024
MISS = 1e-4
"""Largest chance that two texts exactly as similar as the threshold are never compared."""
MINHASH_SEED = 1
SETS = 50_000
"""Texts whose hashes are kept as sets as well."""
BLOCK = 2048
"""Texts that are signed at once: one by one, signing costs a hundred times as much."""

_APOSTROPHES = re.compile("(?<=\\w)['\u2019\u02bc](?=\\w)")
_MARKS = re.compile(r"[^\w\s]|_")
_PLAIN = bytes(
    ord(" ") if unicodedata.category(chr(code)).startswith("P") else ord(chr(code).lower()) % 256
    for code in range(256)
)
"""What stands for each ASCII character: bytes are looked up ten times as fast as characters."""


@lru_cache(maxsize=256)
def normalise(text: str) -> str:
    """Returns the text without the differences that do not count: case, white space, punctuation.

    Symbols such as + or an emoji stay. A text of punctuation alone keeps it.
    """
    if text.isascii():
        whole = _APOSTROPHES.sub("", text) if "'" in text else text
        plain = whole.encode("ascii").translate(_PLAIN).decode("ascii")
        return " ".join(plain.split()) or " ".join(text.lower().split())
    folded = unicodedata.normalize("NFKC", text).casefold()
    plain = _MARKS.sub(_blank_punctuation, _APOSTROPHES.sub("", folded))
    return " ".join(plain.split()) or " ".join(folded.split())


def shingles(text: str, ngram: int = NGRAM) -> frozenset[str]:
    """Returns the word n-grams of a text, or its character n-grams where it has too few words."""
    return frozenset(_parts(normalise(text), ngram))


class NearDuplicates:
    """An index of texts that can be asked for one at least `similarity` alike (Jaccard)."""

    def __init__(self, similarity: float, ngram: int = NGRAM) -> None:
        self._similarity = similarity
        self._ngram = ngram
        bands, rows = _bands(similarity)
        self._permutations = bands * rows
        self._lsh = RMinHashLSH(similarity, self._permutations, bands)
        self._ids: list[str] = []
        self._hashes = array("Q")
        self._ends = array("Q", [0])
        """Where each text's hashes end in `_hashes`."""
        self._sets: dict[int, frozenset[int]] = {}
        """Those compared lately: near copies are compared with the same few again and again."""
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
        return self._alike(id, self._sketch(text), skip)

    def add(self, id: str, text: str) -> None:
        """Puts a text into the index."""
        self._insert(id, self._sketch(text))

    def extend(self, rows: Iterable[tuple[str, str]]) -> None:
        """Puts many texts into the index, much faster than one by one."""
        for id, sketch in self._sketched(rows):
            self._insert(id, sketch)

    def look_up(
        self, rows: Iterable[tuple[str, str]]
    ) -> Iterator[tuple[str, list[tuple[str, float]]]]:
        """Yields each row's id with what `all` says of it, much faster than one by one."""
        for id, sketch in self._sketched(rows):
            yield id, list(self._alike(id, sketch))

    def add_if_new(
        self, rows: Iterable[tuple[str, str]]
    ) -> Iterator[tuple[str, tuple[str, float] | None]]:
        """Yields each row's id with what `find` says, and adds the row where that is None.

        Reads the rows in blocks, so that many are signed at once; each is still compared with all
        that were kept before it.
        """
        for id, sketch in self._sketched(rows):
            near = self._lsh.query(sketch.minhash)
            # Most rows are like none; of equals the earliest counts.
            found: tuple[float, int] | None = None
            for at in near:
                similarity = self._similarity_to(at, sketch)
                if similarity >= self._similarity and (found is None or (-similarity, at) < found):
                    found = (-similarity, at)
            if found is None:
                self._insert(id, sketch)
            yield id, found and (self._ids[found[1]], -found[0])

    def linked(self, rows: Iterable[tuple[str, str]]) -> list[int]:
        """Adds the rows to an empty index; returns a number per row, equal where chains link them.

        One match joins a whole cluster, and the rest of it need not be compared again.
        """
        label: list[int] = []
        members: dict[int, list[int]] = {}
        for at, (id, sketch) in enumerate(self._sketched(rows)):
            label.append(at)
            members[at] = [at]
            left = sorted(set(self._lsh.query(sketch.minhash)))
            while left:
                other = left.pop()
                if self._similarity_to(other, sketch) < self._similarity:
                    continue
                small, large = sorted((label[at], label[other]), key=lambda n: len(members[n]))
                for member in members[small]:
                    label[member] = large
                members[large] += members.pop(small)
                left = [other for other in left if label[other] != large]
            self._insert(id, sketch)
        return label

    def _sketched(self, rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, "_Sketch"]]:
        left = iter(rows)
        while block := list(islice(left, BLOCK)):
            sketches = self._sketches([text for _, text in block])
            yield from zip((id for id, _ in block), sketches, strict=True)

    def _alike(
        self, id: str | None, sketch: "_Sketch", skip: Callable[[str], bool] = lambda _: False
    ) -> Iterator[tuple[str, float]]:
        for at in sorted(set(self._lsh.query(sketch.minhash))):
            if self._ids[at] == id or skip(self._ids[at]):
                continue
            similarity = self._similarity_to(at, sketch)
            if similarity >= self._similarity:
                yield self._ids[at], similarity

    def _similarity_to(self, at: int, sketch: "_Sketch") -> float:
        """Jaccard with an indexed text, 0 where the sizes alone rule out that it is enough."""
        start, end = self._ends[at], self._ends[at + 1]
        own = sketch.hashes
        small, large = sorted((end - start, len(own)))
        if small / large < self._similarity:
            return 0.0
        other = self._sets.get(at)
        if other is None:
            if len(self._sets) >= SETS:
                self._sets.clear()
            other = self._sets[at] = frozenset(self._hashes[start:end])
        shared = len(other.intersection(own))
        return shared / (len(own) + len(other) - shared)

    def _insert(self, id: str, sketch: "_Sketch") -> None:
        self._lsh.insert(len(self._ids), sketch.minhash)
        self._ids.append(id)
        self._hashes.extend(sketch.hashes)
        self._ends.append(len(self._hashes))

    def _sketch(self, text: str) -> "_Sketch":
        # A text is nearly always added right after it was looked for.
        if self._last is None or self._last[0] != text:
            self._last = (text, self._sketches([text])[0])
        return self._last[1]

    def _sketches(self, texts: Sequence[str]) -> list["_Sketch"]:
        parts = [list(_parts(normalise(text), self._ngram)) for text in texts]
        minhashes = RMinHash.from_token_sets(parts, self._permutations, MINHASH_SEED)
        hashes = RMinHash.hash_token_sets(parts)
        return [_Sketch(*pair) for pair in zip(minhashes, hashes, strict=True)]


class Signature(NamedTuple):
    """What is compared of a text, so that texts can be compared in many places at once."""

    hashes: frozenset[int]
    """One of each shingle."""
    buckets: tuple[int, ...]
    """Texts that share one are compared: 64 bits of each band of the MinHash, its place included.
    """


def signatures(texts: Sequence[str], similarity: float, ngram: int = NGRAM) -> list[Signature]:
    """The signatures of texts: they share a bucket where NearDuplicates would compare them."""
    bands, rows = _bands(similarity)
    parts = [list(_parts(normalise(text), ngram)) for text in texts]
    minhashes = RMinHash.from_token_sets(parts, bands * rows, MINHASH_SEED)
    return [
        Signature(frozenset(hashes), tuple(_buckets(minhash.digest(), rows)))
        for minhash, hashes in zip(minhashes, RMinHash.hash_token_sets(parts), strict=True)
    ]


def _buckets(digest: Sequence[int], rows: int) -> Iterator[int]:
    for start in range(0, len(digest), rows):
        band = struct.pack(f"<{1 + rows}Q", start, *digest[start : start + rows])
        yield int.from_bytes(blake2b(band, digest_size=8).digest(), "little")


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """The share of elements that two sets have in common."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def clusters(texts: Mapping[str, str], similarity: float) -> dict[str, str]:
    """Returns row id -> smallest id of its cluster (rows linked by chains of near-duplicates)."""
    first: dict[str, str] = {}
    copy_of = {id: first.setdefault(normalise(texts[id]), id) for id in sorted(texts)}
    # Exact copies need no comparison; this keeps a heap of them from costing its square.
    ids = list(first.values())
    label = NearDuplicates(similarity).linked((id, texts[id]) for id in ids)
    smallest: dict[int, str] = {}
    for id, name in zip(ids, label, strict=True):
        smallest.setdefault(name, id)
    cluster = {id: smallest[name] for id, name in zip(ids, label, strict=True)}
    return {id: cluster[copy_of[id]] for id in texts}


class _Sketch(NamedTuple):
    minhash: RMinHash
    hashes: list[int]
    """One of each shingle; no two are equal but by a chance of 2**-64."""


def _parts(plain: str, ngram: int) -> Iterable[str]:
    """The shingles of a normalised text, equal ones not yet joined."""
    words = plain.split(" ")
    if len(words) >= ngram:
        return set(map(" ".join, zip(*(words[at:] for at in range(ngram)), strict=False)))
    return {plain[at : at + ngram] for at in range(max(1, len(plain) - ngram + 1))}


def _bands(similarity: float) -> tuple[int, int]:
    """Bands and rows of a band: the longest bands that let at most MISS slip through.

    Long bands propose few pairs in vain; PERMUTATIONS bounds what signing costs. Where even one row
    a band needs more of them, as many are taken as it needs, up to MOST: a similarity under 0.009
    is no likeness, and pairs so unlike may be missed.
    """
    best = (min(_needed(similarity, 1), MOST), 1)
    for rows in range(2, PERMUTATIONS):
        bands = _needed(similarity, rows)
        if bands * rows > PERMUTATIONS:
            break
        best = (bands, rows)
    return best


def _needed(similarity: float, rows: int) -> int:
    """The fewest bands of so many rows of which one agrees, but for a chance of MISS."""
    agree = similarity**rows
    return 1 if agree >= 1 else math.ceil(math.log(MISS) / math.log1p(-agree))


def _blank_punctuation(match: re.Match[str]) -> str:
    return " " if unicodedata.category(match[0]).startswith("P") else match[0]
