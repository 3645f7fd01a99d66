"""Suspected label errors: confident learning over cross-validated probabilities of a cheap model.

Northcutt, Jiang and Chuang 2021 (arXiv:1911.00068, section 3). numpy and scikit-learn belong to the
extra `evaluate`; they are imported where they are used.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distill.errors import PrerequisiteError, Problem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FOLDS = 5
LEAST_ROWS = 20
"""Fewer rows teach a classifier nothing that could accuse a label."""
MOST_TRAINED_ON = 10_000
"""Rows that each fold's model learns from at most, so that time stays bounded; all are scored."""
EXACT = 50_000
"""Rows times classes up to which the regression is solved; beyond, stochastic gradients approach
it (banking77, 8,000 rows, 77 classes: 1.3 s and not 6.2 s, held-out accuracy 0.880 and 0.883)."""
SLACK = 1e-6
"""How far below a class's threshold still counts as reaching it."""


@dataclass(frozen=True, slots=True)
class LabelError:
    """One label that is probably wrong."""

    id: str
    given: str
    suggested: str
    score: float
    """Probability of the given label, from models that did not see the row: low is suspicious."""


def label_errors(
    ids: Sequence[str],
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int = 0,
    vectors: Any = None,
) -> list[LabelError]:
    """Returns the suspected label errors, the most suspicious first.

    Args:
        ids: One per row.
        texts: What the labels are about.
        labels: As given.
        seed: Of the folds.
        vectors: Features of the rows, (rows, dimensions); absent: TF-IDF of words and word pairs.

    None are named where `find_label_errors` gives a reason.
    Raises: PrerequisiteError without the extra `evaluate`.
    """
    return find_label_errors(ids, texts, labels, seed=seed, vectors=vectors)[0]


def find_label_errors(
    ids: Sequence[str],
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int = 0,
    vectors: Any = None,
) -> tuple[list[LabelError], str | None]:
    """As `label_errors`, with the reason why none could be looked for, else None."""
    if why := why_not(labels):
        return [], why
    classes = sorted(set(labels))
    features = tfidf(texts) if vectors is None else vectors
    if not abs(features).max() > 0:
        return [], "there is no word that speaks for or against a label"
    probabilities = cross_validated(features, labels, classes, seed=seed)
    if why := not_learnt(labels, classes, probabilities):
        return [], why
    return confident_errors(ids, labels, classes, probabilities), None


def not_learnt(
    labels: Sequence[str], classes: Sequence[str], probabilities: "Floats"
) -> str | None:
    """Returns why probabilities say nothing about labels, or None where they do.

    The class that is more probable than it is common must be the given one more often than by
    chance: mean recall of the classes against 1 / K, two standard errors above. A model that did
    not learn a label would call about half of the rows wrong.
    """
    import numpy as np

    column = {name: at for at, name in enumerate(classes)}
    given = np.array([column[label] for label in labels])
    members = np.bincount(given, minlength=len(classes))
    lift = probabilities * (len(given) / np.maximum(members, 1))
    right = np.bincount(given, weights=lift.argmax(axis=1) == given, minlength=len(classes))
    there = members > 0
    recall = right[there] / members[there]
    chance = 1 / int(there.sum())
    mean = float(recall.mean())
    error = float(np.sqrt((chance * (1 - chance) / members[there]).sum())) * chance
    if mean > chance + 2 * error:
        return None
    return (
        f"a model that learns from the texts finds {mean:.0%} of each label's rows, where chance "
        f"gives {chance:.0%}: it cannot tell which labels are wrong"
    )


def why_not(labels: Sequence[str]) -> str | None:
    """Returns why label errors cannot be looked for, or None where they can."""
    if len(labels) < LEAST_ROWS:
        return f"fewer than {LEAST_ROWS} labelled rows"
    counts = Counter(labels)
    if sum(count >= FOLDS for count in counts.values()) < 2:
        return f"fewer than two labels with {FOLDS} rows or more"
    return None


def confident_errors(
    ids: Sequence[str], labels: Sequence[str], classes: Sequence[str], probabilities: "Floats"
) -> list[LabelError]:
    """Returns the rows off the diagonal of the confident joint, lowest probability first.

    A class's threshold is the mean probability that rows with this label have for it; a row counts
    as the most probable of the classes whose threshold it reaches (equations 1 and 2 there). A row
    whose most probable class is its given label is left alone.

    Args:
        ids: One per row.
        labels: As given.
        classes: The order of the columns.
        probabilities: (rows, classes), from models that did not see the row.
    """
    import numpy as np

    column = {name: at for at, name in enumerate(classes)}
    given = np.array([column[label] for label in labels])
    rows = np.arange(len(given))
    own = probabilities[rows, given]
    members = np.bincount(given, minlength=len(classes))
    sums = np.bincount(given, weights=own, minlength=len(classes))
    # A class without rows has no threshold that anything could reach.
    thresholds = np.where(members > 0, sums / np.maximum(members, 1), np.inf)
    reached = probabilities >= thresholds - SLACK
    likely = np.where(reached, probabilities, -1.0).argmax(axis=1)
    suspect = reached.any(axis=1) & (likely != given) & (probabilities.argmax(axis=1) != given)
    order = sorted(np.flatnonzero(suspect).tolist(), key=lambda at: (own[at], ids[at]))
    return [
        LabelError(ids[at], labels[at], classes[int(likely[at])], float(own[at])) for at in order
    ]


def cross_validated(
    features: Any, labels: Sequence[str], classes: Sequence[str], *, seed: int = 0
) -> "Floats":
    """Returns probabilities (rows, classes) from logistic regressions that did not see the row.

    Args:
        features: (rows, dimensions), dense or sparse.
        labels: Each one of `classes`.
        classes: The order of the columns; a class that a fold did not see has probability 0 there.
        seed: Of the folds.
    """
    np, linear = _packages()
    given = np.array(list(labels))
    found = np.zeros((len(given), len(classes)))
    column = {name: at for at, name in enumerate(classes)}
    rng = np.random.default_rng(seed)
    fold_of = _folds(given, rng)
    for fold in range(FOLDS):
        inside = np.flatnonzero(fold_of != fold)
        outside = np.flatnonzero(fold_of == fold)
        if len(inside) > MOST_TRAINED_ON:
            inside = np.sort(rng.choice(inside, MOST_TRAINED_ON, replace=False))
        model = _regression(linear, len(inside), len(classes), seed)
        model.fit(features[inside], given[inside])
        places = [column[str(name)] for name in model.classes_]
        found[np.ix_(outside, places)] = model.predict_proba(features[outside])
    return found  # type: ignore[no-any-return]


def _regression(linear: Any, rows: int, classes: int, seed: int) -> Any:
    """Logistic regression, softmax where it is solved and one against the rest otherwise."""
    if rows * classes <= EXACT:
        return linear.LogisticRegression(C=1.0, max_iter=100, tol=1e-3)
    return linear.SGDClassifier(
        loss="log_loss", alpha=1e-5, max_iter=5, tol=None, random_state=seed
    )


def tfidf(texts: Sequence[str]) -> Any:
    """Returns the TF-IDF features of texts (words and word pairs), sparse (rows, terms)."""
    _packages()
    from sklearn.feature_extraction.text import TfidfVectorizer

    rare = 2 if len(texts) >= 1000 else 1
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2), min_df=rare, max_features=50_000, sublinear_tf=True,
        token_pattern=r"(?u)\b\w+\b",
    )  # fmt: skip
    try:
        return vectorizer.fit_transform(texts)
    except ValueError:  # no word at all, or none that comes twice
        from scipy.sparse import csr_matrix

        return csr_matrix((len(texts), 1))


def _folds(given: Any, rng: Any) -> Any:
    """A fold per row; every label is dealt out evenly, whatever its size."""
    np, _ = _packages()
    fold_of = np.zeros(len(given), dtype=int)
    dealt = 0
    for name in np.unique(given):
        members = rng.permutation(np.flatnonzero(given == name))
        fold_of[members] = (np.arange(len(members)) + dealt) % FOLDS
        dealt += len(members)
    return fold_of


def _packages() -> tuple[Any, Any]:
    try:
        import numpy as np
        from sklearn import linear_model
    except ImportError as missing:
        line = "pip install 'distill-kit[evaluate]'"
        raise PrerequisiteError(
            f"{missing.name} is not installed; label noise needs it: {line}",
            [Problem(found=f"package {missing.name} is missing", fix=line)],
        ) from missing
    return np, linear_model
