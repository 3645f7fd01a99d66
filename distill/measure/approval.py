"""A small model of what people approve, and how good it is on approved rows that it did not see.

Logistic regression over TF-IDF or static embeddings. numpy and scikit-learn belong to the extra
`evaluate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distill.measure.intervals import Figure, bootstrap, nothing
from distill.measure.label_noise import cross_validated, tfidf

LEAST = 10
"""Fewest rows of a side that a model can be taught from."""
NO, YES = "no", "yes"
MOST_UNLABELLED = 5
"""Unreviewed rows per approved one that stand in for rejected ones, at most."""


@dataclass(frozen=True, slots=True)
class Approval:
    """What the model says of the rows, and how far it can be trusted."""

    scores: list[float]
    """Probability that people would approve, one per row asked about."""
    auc: Figure
    """Chance that an approved row scores above a rejected one (an unreviewed one where people
    rejected too few); on held-out rows, five folds."""
    kept: Figure
    """Share of the approved rows, each held out, that reach `least`."""
    approved: int
    against: str
    """What the approved rows were told apart from: rejected, or unreviewed."""


def approval(
    reviewed: Sequence[str],
    approved: Sequence[bool],
    rows: Sequence[str],
    *,
    least: float,
    seed: int = 0,
    embed: Any = None,
) -> Approval | str:
    """Returns the scores of `rows`, or why there are none.

    Where people rejected fewer than LEAST rows, the rows themselves stand in for rejected ones, and
    the probability is divided by its mean over held-out approved rows (Elkan and Noto 2008, section
    2: learning from positive and unlabelled examples).

    Args:
        reviewed: Texts that people looked at.
        approved: What they said of each.
        rows: Texts to score.
        least: Probability that a row needs.
        seed: Of folds and samples.
        embed: Texts -> vectors; absent: TF-IDF.
    """
    count = sum(approved)
    if count < LEAST:
        return f"people approved {count} rows, and {LEAST} are needed"
    rejected = len(approved) - count >= LEAST
    if not rejected and len(rows) < LEAST:
        return f"people rejected {len(approved) - count} rows, and {len(rows)} others are too few"
    import numpy as np

    both = [*reviewed, *rows]
    features = tfidf(both) if embed is None else embed(both)
    labels = [YES if yes else NO for yes in approved]
    places = np.arange(len(reviewed))
    if not rejected:
        rng = np.random.default_rng(seed)
        most = min(len(rows), MOST_UNLABELLED * count)
        others = np.sort(rng.choice(len(rows), most, replace=False)) + len(reviewed)
        places = np.concatenate([np.flatnonzero(np.asarray(approved, dtype=bool)), others])
        labels = [YES] * count + [NO] * most
    held_out = cross_validated(features[places], labels, [NO, YES], seed=seed)[:, 1]
    yes = np.array([label == YES for label in labels])
    scale = 1.0 if rejected else max(float(held_out[yes].mean()), 1e-9)
    scores = _fitted(features, places, labels, len(reviewed)) / scale
    reached = [float(p >= least) for p in (held_out[yes] / scale).tolist()]
    return Approval(
        np.minimum(scores, 1.0).tolist(),
        _auc(held_out.tolist(), yes.tolist(), seed),
        bootstrap(reached, seed, resamples=500),
        count,
        "rejected" if rejected else "unreviewed",
    )


def _fitted(features: Any, places: Any, labels: Sequence[str], start: int) -> Any:
    """Probabilities of approval for the rows from `start` on, by a model of all that is known."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    if features.shape[0] == start:  # people have looked at every row
        return np.zeros(0)
    model = LogisticRegression(C=1.0, max_iter=100, tol=1e-3)
    model.fit(features[places], list(labels))
    return model.predict_proba(features[start:])[:, list(model.classes_).index(YES)]


def _auc(scores: Sequence[float], yes: Sequence[bool], seed: int) -> Figure:
    from sklearn.metrics import roc_auc_score

    def area(pairs: list[tuple[float, bool]]) -> float:
        right = [good for _, good in pairs]
        if len(set(right)) < 2:
            return 0.5
        return float(roc_auc_score(right, [score for score, _ in pairs]))

    pairs = list(zip(scores, yes, strict=True))
    if len(set(yes)) < 2:
        return nothing("one side only", len(pairs))
    return bootstrap(pairs, seed, statistic=area, resamples=200)
