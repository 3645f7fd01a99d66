"""Finds texts that are nearly the same: MinHash proposes pairs, exact Jaccard of shingles decides.

A text is kept as 64-bit hashes of its shingles (8 bytes each), so millions of rows fit in memory.
Shingles are runs of words; a text of fewer words than one run is compared by runs of characters.
"""

import math
import re
import struct
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
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
BLOCK = 64
"""Texts that are signed at once: one by one, signing costs a hundred times as much, and of
thousands the shingles no longer lie in the processor's cache when they are hashed."""
CHUNK = 100_000
"""Texts among which those without a companion in any bucket are told apart at once."""

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
    return frozenset(_runs(normalise(text), ngram))


def shares_shingle(text: str, among: Set[str], ngram: int = NGRAM) -> bool:
    """Whether one of a text's shingles is among some."""
    return not among.isdisjoint(_runs(normalise(text), ngram))


class NearDuplicates:
    """An index of texts that can be asked for one at least `similarity` alike (Jaccard)."""

    def __init__(self, similarity: float, ngram: int = NGRAM) -> None:
        self._similarity = similarity
        self._ngram = ngram
        self._bands, rows = _bands(similarity)
        self._permutations = self._bands * rows
        self._lsh = self._new_lsh()
        self._in_lsh = 0
        """So many texts; the later ones wait until somebody asks for a companion."""
        self._chunk = self._new_lsh()
        """Of those that wait, the ones that others of their chunk may ask for."""
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
        left = iter(rows)
        while chunk := list(islice(left, CHUNK)):
            hashes, ends = self._hashed([text for _, text in chunk])
            for at, (id, _) in enumerate(chunk):
                self._append(id, hashes[ends[at] : ends[at + 1]])

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

        Reads the rows in chunks, so that many are signed at once; each is still compared with all
        that were kept before it.
        """
        for id, hashes, sketch in self._one_of_many(rows):
            found: tuple[float, int] | None = None
            # Of equals the earliest counts.
            for at in self._met(sketch):
                similarity = self._similarity_to(at, hashes)
                if similarity >= self._similarity and (found is None or (-similarity, at) < found):
                    found = (-similarity, at)
            if found is None:
                self._keep(id, hashes, sketch)
            yield id, found and (self._ids[found[1]], -found[0])

    def linked(self, rows: Iterable[tuple[str, str]]) -> list[int]:
        """Adds the rows to an empty index; returns a number per row, equal where chains link them.

        One match joins a whole cluster, and the rest of it need not be compared again.
        """
        label: list[int] = []
        members: dict[int, list[int]] = {}
        for at, (id, hashes, sketch) in enumerate(self._one_of_many(rows)):
            label.append(at)
            members[at] = [at]
            left = sorted(self._met(sketch))
            while left:
                other = left.pop()
                if self._similarity_to(other, hashes) < self._similarity:
                    continue
                small, large = sorted((label[at], label[other]), key=lambda n: len(members[n]))
                for member in members[small]:
                    label[member] = large
                members[large] += members.pop(small)
                left = [other for other in left if label[other] != large]
            self._keep(id, hashes, sketch)
        return label

    def _one_of_many(
        self, rows: Iterable[tuple[str, str]]
    ) -> Iterator[tuple[str, "array[int]", "_Sketch | None"]]:
        """Each row's id and hashes; no sketch where it meets no row, earlier or of its chunk."""
        left = iter(rows)
        while chunk := list(islice(left, CHUNK)):
            self._catch_up()
            hashes, ends = self._hashed([text for _, text in chunk])
            matrix = RMinHash.digest_matrix_from_flat_token_hashes(
                hashes, ends, self._permutations, MINHASH_SEED
            )
            # Most meet no other in any bucket, and are new without being asked about.
            meets = self._lsh.query_duplicate_flags_matrix_one_shot(matrix)
            del matrix
            sketched = self._sketched(row for row, met in zip(chunk, meets, strict=True) if met)
            for at, (id, _) in enumerate(chunk):
                own = hashes[ends[at] : ends[at + 1]]
                yield id, own, next(sketched)[1] if meets[at] else None

    def _met(self, sketch: "_Sketch | None") -> set[int]:
        """The places of texts that share a bucket, those of this chunk included."""
        if sketch is None:
            return set()
        return {*self._lsh.query(sketch.minhash), *self._chunk.query(sketch.minhash)}

    def _keep(self, id: str, hashes: "array[int]", sketch: "_Sketch | None") -> None:
        """Adds a text of a chunk; those that meet no other wait for `_catch_up`, as all do."""
        if sketch is not None:
            self._chunk.insert(len(self._ids), sketch.minhash)
        self._append(id, hashes)

    def _sketched(self, rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, "_Sketch"]]:
        left = iter(rows)
        while block := list(islice(left, BLOCK)):
            sketches = self._sketches([text for _, text in block])
            yield from zip((id for id, _ in block), sketches, strict=True)

    def _alike(
        self, id: str | None, sketch: "_Sketch", skip: Callable[[str], bool] = lambda _: False
    ) -> Iterator[tuple[str, float]]:
        self._catch_up()
        for at in sorted(set(self._lsh.query(sketch.minhash))):
            if self._ids[at] == id or skip(self._ids[at]):
                continue
            similarity = self._similarity_to(at, sketch.hashes)
            if similarity >= self._similarity:
                yield self._ids[at], similarity

    def _similarity_to(self, at: int, own: Sequence[int]) -> float:
        """Jaccard with an indexed text, 0 where the sizes alone rule out that it is enough."""
        start, end = self._ends[at], self._ends[at + 1]
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
        self._catch_up()
        self._lsh.insert(len(self._ids), sketch.minhash)
        self._append(id, sketch.hashes)
        self._in_lsh = len(self._ids)

    def _append(self, id: str, hashes: Iterable[int]) -> None:
        self._ids.append(id)
        self._hashes.extend(hashes)
        self._ends.append(len(self._hashes))

    def _catch_up(self) -> None:
        """Puts the texts that wait into the buckets."""
        if self._in_lsh == len(self._ids):
            return
        self._chunk = self._new_lsh()
        for first in range(self._in_lsh, len(self._ids), CHUNK):
            ends = self._ends[first : first + CHUNK + 1]
            hashes = self._hashes[ends[0] : ends[-1]]
            offsets = array("Q", (end - ends[0] for end in ends))
            self._lsh.insert_matrix(
                RMinHash.digest_matrix_from_flat_token_hashes(
                    hashes, offsets, self._permutations, MINHASH_SEED
                ),
                first,
            )
        self._in_lsh = len(self._ids)

    def _new_lsh(self) -> RMinHashLSH:
        return RMinHashLSH(self._similarity, self._permutations, self._bands)

    def _hashed(self, texts: Sequence[str]) -> tuple["array[int]", "array[int]"]:
        """The shingles' hashes of all texts one after the other, and where each text's begin."""
        hashes, ends = array("Q"), array("Q", [0])
        for start in range(0, len(texts), BLOCK):
            block = texts[start : start + BLOCK]
            parts = [list(set(_runs(normalise(text), self._ngram))) for text in block]
            for own in RMinHash.hash_token_sets(parts):
                hashes.extend(own)
                ends.append(len(hashes))
        return hashes, ends

    def _sketch(self, text: str) -> "_Sketch":
        # A text is nearly always added right after it was looked for.
        if self._last is None or self._last[0] != text:
            self._last = (text, self._sketches([text])[0])
        return self._last[1]

    def _sketches(self, texts: Sequence[str]) -> list["_Sketch"]:
        parts = [list(set(_runs(normalise(text), self._ngram))) for text in texts]
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
    found = []
    for start in range(0, len(texts), BLOCK):
        block = texts[start : start + BLOCK]
        parts = [list(set(_runs(normalise(text), ngram))) for text in block]
        minhashes = RMinHash.from_token_sets(parts, bands * rows, MINHASH_SEED)
        found += [
            Signature(frozenset(hashes), tuple(_buckets(minhash.digest(), rows)))
            for minhash, hashes in zip(minhashes, RMinHash.hash_token_sets(parts), strict=True)
        ]
    return found


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


def _runs(plain: str, ngram: int) -> Iterable[str]:
    """The shingles of a normalised text, equal ones not yet joined."""
    words = plain.split(" ")
    if len(words) >= ngram:
        return map(" ".join, zip(*(words[at:] for at in range(ngram)), strict=False))
    return (plain[at : at + ngram] for at in range(max(1, len(plain) - ngram + 1)))


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
