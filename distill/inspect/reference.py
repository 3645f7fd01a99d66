"""Whether a dataset looks like a reference: labels, lengths, wording, diversity, side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from distill.inspect.view import View
from distill.measure.distance import label_distance, number_distance, vector_distance
from distill.measure.diversity import diversity
from distill.measure.words import numpy

Embed = Callable[[Sequence[str]], Any]
"""Texts -> unit vectors (N, D)."""

SAMPLE = 1000
"""Rows of each side whose distances are taken."""
DIMENSIONS = 50


def compare_with(view: View, other: View, embed: Embed | None, *, seed: int = 0) -> dict[str, Any]:
    """Distances (0: alike) with intervals, and the reference's diversity.

    `embeddings` speaks of static embeddings where `embed` is given, else of TF-IDF vectors reduced
    to 50 dimensions over both sides.
    """
    labels: dict[str, Any] = {"value": None, "why": "the reference or the dataset has no labels"}
    if view.labels is not None and other.labels is not None:
        labels = label_distance(_known(view.labels), _known(other.labels), seed=seed)
        labels["missing"] = sorted(set(_known(other.labels)) - set(_known(view.labels)))
        labels["added"] = sorted(set(_known(view.labels)) - set(_known(other.labels)))
    mine, theirs = _sample(view.inputs, seed), _sample(other.inputs, seed)
    vectors: dict[str, Any] = {"value": None, "why": "one side has no text"}
    if mine and theirs:
        both = embed([*mine, *theirs]) if embed else _reduced([*mine, *theirs], seed)
        vectors = vector_distance(both[: len(mine)], both[len(mine) :], seed=seed)
        vectors["of"] = "static embeddings" if embed else f"TF-IDF, {both.shape[1]} dimensions"
        vectors["rows"] = {"dataset": len(mine), "reference": len(theirs)}
    counts, others = view.words.counts, other.words.counts
    return {
        "rows": len(other),
        "labels": labels,
        "lengths": {
            **number_distance(counts, others, seed=seed),
            "median_words": float(numpy().median(counts)) if len(counts) else None,
            "reference_median_words": float(numpy().median(others)) if len(others) else None,
        },
        "embeddings": vectors,
        "diversity": {
            **diversity(other.content_words, seed=seed),
            "embedding_spread": spread(other.contents, embed, seed=seed),
        },
    }


def spread(texts: Sequence[str], embed: Embed | None, *, seed: int = 0) -> dict[str, Any]:
    """Mean distance of embedded texts from their centre (0: all the same), over a sample."""
    if embed is None:
        return {"value": None, "why": "no embeddings: give --embeddings DIR"}
    chosen = _sample(texts, seed)
    if len(chosen) < 2:
        return {"value": None, "why": "fewer than two texts"}
    from distill.measure.intervals import bootstrap

    np = numpy()
    vectors = embed(chosen)
    apart = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).tolist()
    return bootstrap(apart, seed, resamples=200).as_dict()


def _known(labels: Sequence[str | None]) -> list[str]:
    return [label for label in labels if label is not None]


def _sample(texts: Sequence[str], seed: int) -> list[str]:
    known = [text for text in texts if text.strip()]
    if len(known) <= SAMPLE:
        return known
    chosen = numpy().random.default_rng(seed).choice(len(known), SAMPLE, replace=False)
    return [known[at] for at in sorted(chosen)]


def _reduced(texts: Sequence[str], seed: int) -> Any:
    """TF-IDF by truncated singular values, unit length (N, D)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    np = numpy()
    try:
        terms = TfidfVectorizer(
            token_pattern=r"(?u)\b\w+\b", max_features=20_000, sublinear_tf=True
        )
        vectors = terms.fit_transform(texts)
    except ValueError:
        return np.zeros((len(texts), 1))
    most = min(DIMENSIONS, min(vectors.shape) - 1)
    if most < 1:
        return vectors.toarray()
    reduced = TruncatedSVD(most, random_state=seed).fit_transform(vectors)
    sizes = np.linalg.norm(reduced, axis=1, keepdims=True)
    return np.divide(reduced, sizes, out=np.zeros_like(reduced), where=sizes > 0)
