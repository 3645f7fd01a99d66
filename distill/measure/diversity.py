"""How varied texts are, and whether they have collapsed onto a few forms.

distinct-n: different runs of n words over all runs (Li et al. 2016, arXiv:1510.03055, section 5).
Compression ratio: zlib size over size (Shaib et al. 2024, arXiv:2403.00553, find it tracks other
measures of repetition). numpy and scikit-learn belong to the extra `evaluate`.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from distill.measure.intervals import bootstrap
from distill.measure.words import Words, numpy, split_words

SAMPLE = 1000
"""distinct-n falls with the number of texts, so it is also given for as many texts of any set."""
SIMILARITY_SAMPLE = 1000
OPENING = 3
OPENINGS = 10
RESAMPLES = 200


def diversity(words: Words, *, seed: int = 0) -> dict[str, Any]:
    """Figures over texts as words; None where there is nothing to measure.

    `distinct` and `distinct_sample` {"1", "2", "3"}: over all texts and over at most SAMPLE of
    them. `self_similarity`: mean TF-IDF cosine of two texts of a sample. `nearest`: mean cosine of
    a text to its nearest other one there. `openings`: the commonest first words and their share.
    """
    np = numpy()
    rows = np.flatnonzero(words.counts > 0)
    if not len(rows):
        return {"texts": 0, "why": "no row has text"}
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(rows, min(SAMPLE, len(rows)), replace=False))
    plain = [words.plain[at] for at in sample[:SIMILARITY_SAMPLE]]
    blob = "\n".join(plain).encode("utf-8", "replace")
    return {
        "texts": len(rows),
        "distinct": {str(n): distinct(words, n) for n in (1, 2, 3)},
        "distinct_sample": {str(n): distinct(words, n, sample) for n in (1, 2, 3)},
        "sample": len(sample),
        **similarities(plain, seed=seed),
        "compression": len(zlib.compress(blob, 6)) / len(blob),
        "openings": openings(words, rows.tolist()),
    }


def distinct(words: Words, n: int, rows: Any = None) -> float | None:
    """Different runs of n words over all of them; None where no text has n words."""
    runs, _ = words.runs(n, rows)
    return len(numpy().unique(runs)) / len(runs) if len(runs) else None


def openings(words: Words, rows: Sequence[int]) -> list[dict[str, Any]]:
    """The commonest first three words with the count and share of the texts that begin so."""
    long = [at for at in rows if words.counts[at] >= OPENING]
    counts: Counter[str] = Counter()
    for at in long:
        plain = words.plain[at]
        first = plain.split(None, OPENING)[:OPENING] if plain.isascii() else split_words(plain)
        counts[" ".join(first[:OPENING])] += 1
    return [
        {"words": text, "count": count, "share": count / len(long)}
        for text, count in counts.most_common(OPENINGS)
        if count > 1
    ]


def similarities(plain: Sequence[str], *, seed: int = 0) -> dict[str, Any]:
    """Mean cosine of a text to the others and to its nearest one, as figures with intervals."""
    np = numpy()
    from sklearn.feature_extraction.text import TfidfVectorizer

    none = {"value": None, "why": "fewer than two texts with words"}
    if len(plain) < 2:
        return {"self_similarity": none, "nearest": none}
    try:
        vectors = TfidfVectorizer(token_pattern=r"(?u)\S+", dtype=np.float32).fit_transform(plain)
    except ValueError:
        return {"self_similarity": none, "nearest": none}
    cosines = (vectors @ vectors.T).toarray()
    np.fill_diagonal(cosines, 0.0)
    mean = (cosines.sum(axis=1) / (len(plain) - 1)).tolist()
    nearest = cosines.max(axis=1).tolist()
    return {
        "self_similarity": bootstrap(mean, seed, resamples=RESAMPLES).as_dict(),
        "nearest": bootstrap(nearest, seed, resamples=RESAMPLES).as_dict(),
    }
