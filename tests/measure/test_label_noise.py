"""Confident learning: planted label errors, and what cleanlab says of the same probabilities."""

import random

import numpy as np
import pytest

from distill.measure.label_noise import (
    FOLDS,
    confident_errors,
    cross_validated,
    find_label_errors,
    label_errors,
    tfidf,
    why_not,
)

WORDS = {
    "billing": ["invoice", "refund", "charge", "card", "price", "payment", "bank"],
    "bug": ["crash", "error", "freeze", "screen", "glitch", "reboot", "log"],
    "other": ["hello", "thanks", "question", "weather", "team", "office", "lunch"],
}


def labelled(count, wrong, seed=1):
    """Texts with their labels, so many of them wrong; returns ids, texts, labels, wrong ids."""
    luck = random.Random(seed)
    names = sorted(WORDS)
    ids = [f"r{at:04}" for at in range(count)]
    labels = [names[at % 3] for at in range(count)]
    texts = [
        " ".join(
            luck.choices(WORDS[label], k=6) + luck.choices(["a", "the", "of", "my", "is"], k=3)
        )
        for label in labels
    ]
    planted = set(luck.sample(range(count), wrong))
    given = [
        names[(names.index(label) + 1) % 3] if at in planted else label
        for at, label in enumerate(labels)
    ]
    return ids, texts, given, {ids[at]: labels[at] for at in planted}


def test_planted_errors_are_found_and_the_right_label_is_suggested():
    """Four fifths of the planted errors come first, each with its true label."""
    ids, texts, given, planted = labelled(400, 40)
    found = label_errors(ids, texts, given)
    assert [error.score for error in found] == sorted(error.score for error in found)
    first = found[: len(planted)]
    right = [error for error in first if planted.get(error.id) == error.suggested]
    assert len(right) >= 0.8 * len(planted)
    assert found == label_errors(ids, texts, given)


@pytest.mark.parametrize(("classes", "rows"), [(2, 300), (7, 500), (60, 2000)])
def test_the_same_rows_in_the_same_order_as_cleanlab(classes, rows):
    """On given probabilities both name the same rows, the most suspicious first."""
    cleanlab = pytest.importorskip("cleanlab.filter")
    rng = np.random.default_rng(classes)
    true = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes))
    logits[np.arange(rows), true] += 2.5
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = np.where(rng.random(rows) < 0.15, rng.integers(0, classes, rows), true)
    theirs = cleanlab.find_label_issues(
        given,
        chances,
        filter_by="confident_learning",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    names = [f"c{at:03}" for at in range(classes)]
    ids = [str(at) for at in range(rows)]
    ours = confident_errors(ids, [names[at] for at in given], names, chances)
    assert [int(error.id) for error in ours] == theirs.tolist()
    assert len(ours) > 5


def test_a_label_without_rows_is_never_suggested():
    """Its column may be full; it has no threshold."""
    chances = np.array([[0.2, 0.1, 0.7], [0.7, 0.1, 0.2], [0.1, 0.3, 0.6], [0.4, 0.5, 0.1]])
    found = confident_errors(list("abcd"), ["x", "x", "y", "y"], ["x", "y", "z"], chances)
    assert "z" not in {error.suggested for error in found}


def test_a_label_that_a_fold_did_not_see_has_probability_0_there():
    """One lone row cannot be learnt from, and does no harm; rows are probabilities."""
    _, texts, given, _ = labelled(60, 0)
    given[0] = "lone"
    classes = sorted(set(given))
    chances = cross_validated(tfidf(texts), given, classes)
    assert chances.shape == (60, 4)
    assert chances[0, classes.index("lone")] == 0
    assert np.allclose(chances.sum(axis=1), 1)


def test_many_rows_and_classes_are_approached(monkeypatch):
    """Beyond EXACT the cheaper regression still finds the planted errors."""
    monkeypatch.setattr("distill.measure.label_noise.EXACT", 0)
    ids, texts, given, planted = labelled(900, 60)
    found = label_errors(ids, texts, given)
    right = [error for error in found if planted.get(error.id) == error.suggested]
    assert len(right) >= 0.8 * len(planted)
    assert len(found) < 2 * len(planted)


def test_too_little_is_said_and_nothing_is_named():
    """Few rows or one label: no suspicion, and the reason for it."""
    assert why_not(["a", "b"] * 5) == "fewer than 20 labelled rows"
    assert why_not(["a"] * 40) == f"fewer than two labels with {FOLDS} rows or more"
    assert label_errors(["1"], ["text"], ["a"]) == []
    wordless = label_errors([str(at) for at in range(40)], ["..."] * 40, ["a", "b"] * 20)
    assert wordless == []


def test_labels_that_texts_do_not_tell_accuse_nobody():
    """With labels thrown by dice half of the rows would be named; the reason is told instead."""
    ids, texts, given, _ = labelled(400, 0)
    luck = random.Random(3)
    found, why = find_label_errors(ids, texts, luck.choices("ab", k=len(ids)))
    assert found == []
    assert "chance gives 50%" in why
    rare = ["rare" if at % 20 == 0 and label == "bug" else label for at, label in enumerate(given)]
    assert find_label_errors(ids, texts, rare)[1] is None
