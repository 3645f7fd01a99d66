"""Rows of one split that stand in another: the same, nearly the same, or with a long run of it.

exact: equal after normalising. ngram: 13 words in a row of the other's input (Brown et al. 2020,
arXiv:2005.14165, appendix C), or a whole shorter input. near: similar word 3-grams, or, in texts
long enough that chance explains neither, the same sentence reworded or reordered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

from distill.measure.duplicates import NearDuplicates
from distill.measure.ngrams import SHORTEST_WHOLE
from distill.measure.set_join import TooManyPairs, similar_pairs
from distill.measure.words import Words, numpy

if TYPE_CHECKING:
    from distill.measure.words import Hashes, Ints

NGRAM = 13
NEAR = 0.8
"""Jaccard of word 3-grams, for texts of any length."""
LONG = 20
"""Words from which a text is long."""
REWORDED = 0.5
"""Jaccard of word 3-grams of long texts. GSM8K's 7,473 train questions have 3 such pairs with its
test questions, all of them one problem with other names."""
REORDERED = 0.6
"""Jaccard of the words of long texts (7 rows of GSM8K's train)."""
COMMON = 0.01
LEAST_COMMON = 10
"""A run in more than this share and number of texts of a side is a template, not a leak."""
MOST_SPLITS = 6
"""With more splits, only pairs with train and gold are compared."""
ORDER = ("train", "val", "test", "gold")


@dataclass(slots=True)
class Side:
    """The rows of one split."""

    name: str
    places: Sequence[int]
    """Of its rows in the words below."""


@dataclass(slots=True)
class _Hits:
    """Left place -> how it was found, and the right place that it is most like."""

    by: dict[int, set[str]] = field(default_factory=dict)
    best: dict[int, tuple[float, int]] = field(default_factory=dict)

    def add(self, left: int, right: int, kind: str, similarity: float) -> None:
        self.by.setdefault(left, set()).add(kind)
        known = self.best.get(left)
        if known is None or similarity > known[0]:
            self.best[left] = (similarity, right)


def pairs_of(names: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs of splits to compare, the one to train on first."""
    ordered = sorted(names, key=_place)
    pairs = list(combinations(ordered, 2))
    if len(ordered) > MOST_SPLITS:
        first = [name for name in ordered if _place(name)[0] == 0] or ordered[:1]
        pairs = [(a, b) for a, b in pairs if a in first or "gold" in (a, b)]
    return pairs


def measure_leakage(
    sides: Mapping[str, Sequence[int]], ids: Sequence[str], inputs: Words, contents: Words
) -> dict[str, Any]:
    """{"train|gold": {exact, ngram, near, rows, ...}} for every pair of splits.

    Args:
        sides: Split (or "gold") -> places of its rows in the words.
        ids: Ids of all rows.
        inputs: Their inputs as words.
        contents: Their whole texts as words: a gold input may stand in an answer of train.

    `exact`, `ngram` and `near` count rows of the first split, each for itself; `rows` are all of
    them. `pairs` say what each is like.
    """
    found = {}
    for one, other in pairs_of(list(sides)):
        left, right = Side(one, sides[one]), Side(other, sides[other])
        hits = _compare(left, right, inputs, contents)
        found[f"{one}|{other}"] = _entry(left, right, hits, ids)
    return found


def _place(name: str) -> tuple[int, bool, str]:
    lower = name.lower()
    known = [at for at, word in enumerate(ORDER) if word in lower]
    return (known[0] if known else len(ORDER), lower not in ORDER, name)


def _entry(left: Side, right: Side, hits: _Hits, ids: Sequence[str]) -> dict[str, Any]:
    places = sorted(hits.by)
    kinds = {kind: sum(kind in hits.by[at] for at in places) for kind in ("exact", "ngram", "near")}
    pairs = [
        {
            "row": ids[at],
            "other": ids[hits.best[at][1]],
            "by": sorted(hits.by[at]),
            "similarity": hits.best[at][0],
        }
        for at in places
    ]
    return {
        **kinds,
        "rows": [ids[at] for at in places],
        "pairs": pairs,
        "other_rows": sorted({ids[hits.best[at][1]] for at in places}),
        "compared": {left.name: len(left.places), right.name: len(right.places)},
    }


def _compare(left: Side, right: Side, inputs: Words, contents: Words) -> _Hits:
    np = numpy()
    hits = _Hits()
    a, b = np.asarray(left.places, np.int64), np.asarray(right.places, np.int64)
    first: dict[str, int] = {}
    for at in right.places:
        first.setdefault(inputs.plain[at], at)
    first.pop("", None)
    for at in left.places:
        if (same := first.get(inputs.plain[at])) is not None:
            hits.add(at, same, "exact", 1.0)
    for at, other in _shared_runs(a, b, inputs, contents):
        hits.add(at, other, "ngram", 0.0)
    for one, other, alike in _near(a, b, inputs):
        hits.add(one, other, "near", alike)
    return hits


def _near(a: "Ints", b: "Ints", words: Words) -> "list[tuple[int, int, float]]":
    """Pairs that are alike, under the three rules of the module."""
    found: list[tuple[int, int, float]] = []
    long_a, long_b = a[words.counts[a] >= LONG], b[words.counts[b] >= LONG]
    for n, x, y, similarity in (
        (3, a, b, NEAR),
        (3, long_a, long_b, REWORDED),
        (1, long_a, long_b, REORDERED),
    ):
        pairs = similar_pairs(words.runs(n, x), words.runs(n, y), len(words), similarity)
        try:
            for left, right, alike in pairs:
                found += zip(left.tolist(), right.tolist(), alike.tolist(), strict=True)
        except TooManyPairs:
            if similarity == NEAR:
                found += _indexed(a, b, words)
    return found


def _indexed(a: "Ints", b: "Ints", words: Words) -> "list[tuple[int, int, float]]":
    """The most similar text of the right side by MinHash, for texts of one template."""
    index = NearDuplicates(NEAR)
    for at in b.tolist():
        index.add(str(at), words.plain[at])
    hits = [(at, index.find("", words.plain[at])) for at in a.tolist() if words.plain[at]]
    return [(at, int(hit[0]), hit[1]) for at, hit in hits if hit]


def _shared_runs(a: "Ints", b: "Ints", inputs: Words, contents: Words) -> list[tuple[int, int]]:
    """(left, right) places where the left text holds a long run of the right input."""
    np = numpy()
    found: list[tuple[int, int]] = []
    short = b[(inputs.counts[b] < NGRAM) & (inputs.counts[b] >= SHORTEST_WHOLE)]
    for size in range(SHORTEST_WHOLE, NGRAM + 1):
        rows = b if size == NGRAM else short[inputs.counts[short] == size]
        runs, owner = inputs.runs(size, rows)
        if not len(runs):
            continue
        runs, owner = _rare(runs, owner, len(b))
        texts, holder = contents.runs(size, a)
        at = np.searchsorted(runs, texts)
        at[at == len(runs)] = 0
        hit = runs[at] == texts if len(runs) else np.zeros(len(texts), bool)
        found += zip(holder[hit].tolist(), owner[at[hit]].tolist(), strict=True)
    return list(dict.fromkeys(found))


def _rare(runs: "Hashes", owner: "Ints", rows: int) -> "tuple[Hashes, Ints]":
    """Runs sorted, without those that so many texts of this side hold that they are a template."""
    np = numpy()
    order = np.argsort(runs, kind="stable")
    runs, owner = runs[order], owner[order]
    different, start, often = np.unique(runs, return_index=True, return_counts=True)
    kept = often <= max(LEAST_COMMON, COMMON * rows)
    return different[kept], owner[start[kept]]
