"""Where a student goes wrong: its wrong answers in clusters of like inputs, named by their words.

Inputs are TF-IDF vectors; k-means parts the wrong ones (scikit-learn). Right answers are counted
into the nearest cluster, so that each has an error rate: a cluster is worth mending where that is
far above the whole set's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.measure.intervals import proportion

MOST_CLUSTERS = 8
LEAST_ROWS = 4
"""Wrong answers for each cluster, on average."""
TERMS = 4
MOST_TERMS = 20_000
EXAMPLES = 3
SHOWN_CHARACTERS = 300
MOST_VALUES = 12
"""A column with as many different values, or fewer, parts the rows into slices."""


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    """One held-out row and what the student said."""

    set: str
    id: str
    input: str
    expected: str
    answered: str | None
    wrong: bool
    slices: Mapping[str, str]


def failure_modes(
    rows: Sequence[AnsweredRow], *, labels: bool, seed: int = 0
) -> tuple[dict[str, Any], dict[int, int]]:
    """The clusters, the worst first, and place of a wrong row -> its cluster.

    Args:
        rows: All rows, right ones too.
        labels: What is expected is one of a few labels.
        seed: Of k-means.

    Returns: {n, wrong, error_rate F, clusters [{name, terms, count, error_rate F, expected,
    confused, slices, ids [{set, id}], examples}], by_label, by_slice}.
    """
    wrong = [place for place, row in enumerate(rows) if row.wrong]
    groups = _groups(rows, wrong, seed) if wrong else []
    clusters, member = [], {}
    for terms, inside, right in groups:
        clusters.append((_cluster(rows, terms, inside, right, labels), inside))
    clusters.sort(key=lambda found: (-found[0]["count"], found[0]["name"]))
    for at, (_, inside) in enumerate(clusters):
        member.update(dict.fromkeys(inside, at))
    part = {
        "n": len(rows),
        "wrong": len(wrong),
        "error_rate": proportion(len(wrong), len(rows)).as_dict(),
        "clusters": [found for found, _ in clusters],
        "by_label": _rates(rows, [row.expected for row in rows]) if labels else None,
        "by_slice": {
            name: _rates(rows, [row.slices.get(name) for row in rows]) for name in _slices(rows)
        },
    }
    return part, member


Group = tuple[list[str], list[int], int]
"""Terms, places of the wrong rows, number of right rows nearest to them."""


def _groups(rows: Sequence[AnsweredRow], wrong: Sequence[int], seed: int) -> list[Group]:
    import numpy as np
    from sklearn.cluster import KMeans

    vectors, names = _vectors([row.input for row in rows])
    if vectors is None:  # no word anywhere
        return [([], list(wrong), sum(not row.wrong for row in rows))]
    inside = vectors[list(wrong)]
    kinds = len({row.input for row in (rows[place] for place in wrong)})
    count = max(1, min(MOST_CLUSTERS, len(wrong) // LEAST_ROWS, kinds))
    model = KMeans(count, n_init=4, random_state=seed).fit(inside)
    nearest = model.predict(vectors)
    mean = np.asarray(vectors.mean(axis=0)).ravel()
    found: list[Group] = []
    for at in range(count):
        places = [place for place, own in zip(wrong, model.labels_, strict=True) if own == at]
        if not places:
            continue
        right = sum(nearest[p] == at and not row.wrong for p, row in enumerate(rows))
        lift = model.cluster_centers_[at] - mean
        best = [str(names[term]) for term in np.argsort(-lift)[: 3 * TERMS] if lift[term] > 0]
        found.append((_apart(best), places, int(right)))
    return found


def _vectors(texts: Sequence[str]) -> tuple[Any, Any]:
    """TF-IDF of words and word pairs (rows, terms), and the terms; None where there is no word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), max_features=MOST_TERMS, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"
    )
    try:
        return vectorizer.fit_transform(texts), vectorizer.get_feature_names_out()
    except ValueError:
        return None, None


def _apart(terms: Sequence[str]) -> list[str]:
    """The first few terms of which none is a part of another."""
    kept: list[str] = []
    for term in terms:
        words = set(term.split())
        if not any(words & set(other.split()) for other in kept):
            kept.append(term)
    return kept[:TERMS]


def _cluster(
    rows: Sequence[AnsweredRow], terms: list[str], inside: Sequence[int], right: int, labels: bool
) -> dict[str, Any]:
    found = [rows[place] for place in inside]
    expected = Counter(row.expected for row in found)
    confused = Counter((row.expected, row.answered or "(no answer)") for row in found)
    named = ", ".join(terms) or "other"
    if labels:
        (truth, said), count = confused.most_common(1)[0]
        if 2 * count > len(found):
            named = f"{named}: {truth} taken for {said}"
    return {
        "name": named,
        "terms": terms,
        "count": len(found),
        "error_rate": proportion(len(found), len(found) + right).as_dict(),
        "expected": dict(expected.most_common(5)) if labels else None,
        "confused": [
            {"expected": truth, "answered": said, "count": count}
            for (truth, said), count in confused.most_common(5)
        ]
        if labels
        else None,
        "slices": {
            name: dict(Counter(row.slices.get(name, "") for row in found).most_common(5))
            for name in _slices(rows)
        },
        "ids": [{"set": row.set, "id": row.id} for row in found],
        "examples": [
            {
                "id": row.id,
                "input": row.input[:SHOWN_CHARACTERS],
                "expected": row.expected[:SHOWN_CHARACTERS],
                "answered": None if row.answered is None else row.answered[:SHOWN_CHARACTERS],
            }
            for row in found[:EXAMPLES]
        ],
    }


def _slices(rows: Sequence[AnsweredRow]) -> list[str]:
    """Columns with a few values of which some come more than once."""
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.slices.items():
            values.setdefault(name, set()).add(value)
    return [name for name, found in values.items() if 1 < len(found) <= MOST_VALUES < len(rows)]


def _rates(rows: Sequence[AnsweredRow], keys: Sequence[str | None]) -> dict[str, Any]:
    """Error rate for each value, the worst first."""
    groups: dict[str, list[bool]] = {}
    for row, key in zip(rows, keys, strict=True):
        if key is not None:
            groups.setdefault(key, []).append(row.wrong)
    rates = {name: proportion(sum(found), len(found)).as_dict() for name, found in groups.items()}
    return dict(sorted(rates.items(), key=lambda item: (-item[1]["value"], item[0])))
