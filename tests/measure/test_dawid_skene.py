"""Labels and raters' quality from ratings alone."""

import random

from distill.measure.dawid_skene import dawid_skene


def made(seed=3, units=300):
    """Two good raters, one who errs often, one who says the opposite, one who says one thing."""
    rng = random.Random(seed)
    truth = {u: rng.choice("ab") for u in range(units)}
    flip = {"a": "b", "b": "a"}
    ratings = {
        u: {
            "good": t if rng.random() < 0.95 else flip[t],
            "fine": t if rng.random() < 0.9 else flip[t],
            "weak": t if rng.random() < 0.7 else flip[t],
            "inverse": flip[t] if rng.random() < 0.95 else t,
            "same": "a",
        }
        for u, t in truth.items()
    }
    return truth, ratings


def test_raters_are_told_apart():
    """The estimates come near how the raters were made; who always says one thing says nothing."""
    _, ratings = made()
    found = dawid_skene(ratings)
    assert abs(found.raters["good"] - 0.95) < 0.05
    assert abs(found.raters["weak"] - 0.7) < 0.08
    assert found.raters["inverse"] < 0.15
    assert found.informativeness["inverse"] > 0.8
    assert found.informativeness["same"] < 0.01
    assert found.counts["weak"] == 300


def test_labels_beat_the_majority():
    """A rater who says the opposite counts against the majority, and for Dawid and Skene."""
    truth, ratings = made()
    found = dawid_skene(ratings)
    skene = sum(found.units[u][0] == t for u, t in truth.items())
    majority = sum(found.majority[u] == t for u, t in truth.items())
    assert skene > majority
    assert skene / len(truth) > 0.95


def test_missing_ratings_and_ties():
    """Units without ratings are left out; two against two is no majority."""
    found = dawid_skene({"x": {"p": "a", "q": "b"}, "y": {"p": "a"}, "z": {}})
    assert set(found.units) == {"x", "y"}
    assert found.majority == {"x": None, "y": "a"}
    assert dawid_skene({"z": {}}) is None
