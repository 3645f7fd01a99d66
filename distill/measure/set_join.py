"""All pairs of texts of two sides that are similar enough: exact, no pair is missed.

Prefix filtering (Bayardo, Ma and Srikant 2007; Chaudhuri, Ganti and Kaushik 2006): sets x and y of
Jaccard similarity t share one of the |x| - ceil(t |x|) + 1 rarest elements of x, so only pairs that
share a rare element are compared. numpy and scipy belong to the extra `evaluate`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from distill.measure.duplicates import clusters, shingles
from distill.measure.words import Words, numpy, word_code

if TYPE_CHECKING:
    from distill.measure.words import Hashes, Ints

MOST_PAIRS = 2_000_000
"""Candidate pairs that are held at once."""
MOST_WORK = 100_000_000
"""Candidate pairs in all beyond which a join takes minutes: texts of one template."""
NGRAM = 3


class TooManyPairs(ValueError):
    """So many texts share their rarest elements that comparing them all would take minutes."""


Join = Callable[[Sequence[str], float], Iterable[tuple[int, int]]]
"""From different texts and a similarity to the places of all pairs that are alike enough."""


def near_clusters(
    words: Words, texts: Sequence[str], similarity: float, join: Join | None = None
) -> list[list[int]]:
    """Returns the groups of texts linked by chains of near-duplicates, each with two or more.

    Similarity is that of `measure.duplicates`: Jaccard of word 3-grams, of characters in texts of
    fewer words. Where a template makes too many pairs, its MinHash index takes over.

    Args:
        words: The texts as words.
        texts: The same texts.
        similarity: Above 0.
        join: Finds the pairs elsewhere; absent: here.
    """
    np = numpy()
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first: dict[str, int] = {}
    linked = [(first.setdefault(plain, at), at) for at, plain in enumerate(words.plain) if plain]
    rows = np.asarray(sorted(first.values()), np.int64)
    edges = [np.asarray(linked, np.int64).reshape(-1, 2).T]
    try:
        if join is not None:
            found = join([texts[at] for at in rows.tolist()], similarity)
            edges.append(rows[np.asarray(list(found), np.int64).reshape(-1, 2)].T)
        else:
            runs = _elements(words, rows)
            for one, other, _ in similar_pairs(runs, runs, len(words), similarity):
                edges.append(np.stack([one, other]))
    except TooManyPairs:
        names = {f"{at:09}": texts[at] for at in rows.tolist()}
        linked = [(int(a), int(b)) for a, b in clusters(names, similarity).items()]
        edges.append(np.asarray(linked, np.int64).T)
    pairs = np.concatenate(edges, axis=1)
    graph = coo_array((np.ones(pairs.shape[1], bool), (pairs[0], pairs[1])),
                      shape=(len(words), len(words)))  # fmt: skip
    _, component = connected_components(graph, directed=False)
    order = np.argsort(component, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    return [group.tolist() for group in groups if len(group) > 1]


def element_sets(texts: Sequence[str]) -> "list[Hashes]":
    """The elements of each text, ascending: what `near_clusters` compares."""
    np = numpy()
    words = Words(texts)
    elements, owner = _sets(*_elements(words, np.arange(len(texts))), len(texts))
    starts = np.searchsorted(owner, np.arange(len(texts) + 1))
    return [elements[start:end] for start, end in pairwise(starts.tolist())]


def prefix_length(size: int, similarity: float) -> int:
    """Of so many elements, how many of the rarest a set shares one of with all that are alike."""
    return size - math.ceil(similarity * size - 1e-9) + 1 if size else 0


def _elements(words: Words, rows: "Ints") -> "tuple[Hashes, Ints]":
    """Word 3-grams of the rows; of rows with fewer words their character 3-grams."""
    np = numpy()
    runs, owner = words.runs(NGRAM, rows)
    short = rows[words.counts[rows] < NGRAM].tolist()
    codes = [(word_code(part), at) for at in short for part in shingles(words.plain[at], NGRAM)]
    extra = np.asarray([code for code, _ in codes], np.uint64)
    holders = np.asarray([at for _, at in codes], np.int64)
    return np.concatenate([runs, extra]), np.concatenate([owner, holders])


def similar_pairs(
    left: "tuple[Hashes, Ints]", right: "tuple[Hashes, Ints]", rows: int, similarity: float
) -> "Iterator[tuple[Ints, Ints, Any]]":
    """Yields (left rows, right rows, Jaccard similarities) of the pairs alike enough, in parts.

    Args:
        left: Elements (any hashes) and the row of each, as `Words.runs` gives them.
        right: The same; row numbers of both sides are below `rows`.
        rows: How many rows there are in all.
        similarity: Above 0.

    Raises: TooManyPairs before anything is compared.
    """
    np = numpy()
    x, y = _sets(*left, rows), _sets(*right, rows)
    if not (len(x[0]) and len(y[0])):
        return
    elements, places = np.unique(np.concatenate([x[0], y[0]]), return_inverse=True)
    often = np.bincount(places)
    order = np.empty(len(elements), np.int64)
    order[np.argsort(often, kind="stable")] = np.arange(len(elements))
    ranks = order[places]
    shape = (rows, len(elements))
    one, other = _matrix(ranks[: len(x[0])], x[1], shape), _matrix(ranks[len(x[0]) :], y[1], shape)
    short_one, short_other = _prefixes(one, similarity), _prefixes(other, similarity)
    sizes_one, sizes_other = np.diff(one.indptr), np.diff(other.indptr)
    for block in _blocks(short_one, short_other):
        pairs = (short_one[block] @ short_other.T).tocoo()
        a, b = block[pairs.row], pairs.col
        small = np.minimum(sizes_one[a], sizes_other[b])
        near = small >= similarity * np.maximum(sizes_one[a], sizes_other[b])
        a, b = a[near], b[near]
        if not len(a):
            continue
        shared = np.asarray(one[a].multiply(other[b]).sum(axis=1)).ravel()
        alike = shared / (sizes_one[a] + sizes_other[b] - shared)
        kept = alike >= similarity - 1e-9
        yield a[kept], b[kept], alike[kept]


def _sets(elements: "Hashes", owner: "Ints", rows: int) -> "tuple[Hashes, Ints]":
    """Each element once per row."""
    np = numpy()
    order = np.lexsort((elements, owner))
    elements, owner = elements[order], owner[order]
    fresh = np.ones(len(elements), bool)
    fresh[1:] = (elements[1:] != elements[:-1]) | (owner[1:] != owner[:-1])
    return elements[fresh], owner[fresh]


def _matrix(ranks: "Ints", owner: "Ints", shape: tuple[int, int]) -> Any:
    """Rows x elements, by row the rarest element first."""
    from scipy.sparse import csr_array

    np = numpy()
    order = np.lexsort((ranks, owner))
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=shape[0]))])
    return csr_array((np.ones(len(ranks), np.float32), ranks[order], starts), shape=shape)


def _prefixes(matrix: Any, similarity: float) -> Any:
    from scipy.sparse import csr_array

    np = numpy()
    sizes = np.diff(matrix.indptr)
    kept = np.where(sizes > 0, sizes - np.ceil(similarity * sizes - 1e-9).astype(np.int64) + 1, 0)
    within = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], sizes)
    chosen = within < np.repeat(kept, sizes)
    starts = np.concatenate([[0], np.cumsum(kept)])
    shape = matrix.shape
    return csr_array((matrix.data[chosen], matrix.indices[chosen], starts), shape=shape)


def _blocks(one: Any, other: Any) -> "Iterator[Ints]":
    """Rows of one side, so many at a time that their candidate pairs fit in memory."""
    np = numpy()
    often = np.bincount(other.indices, minlength=other.shape[1])
    owner = np.repeat(np.arange(one.shape[0]), np.diff(one.indptr))
    work = np.bincount(owner, weights=often[one.indices], minlength=one.shape[0]).astype(np.int64)
    if work.sum() > MOST_WORK:
        raise TooManyPairs(f"{int(work.sum()):,} candidate pairs")
    busy = np.flatnonzero(work)
    part = np.cumsum(work[busy]) // MOST_PAIRS
    for number in np.unique(part):
        yield busy[part == number]
