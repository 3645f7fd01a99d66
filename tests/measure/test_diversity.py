"""How varied texts are."""

import pytest

from distill.measure.diversity import distinct, diversity
from distill.measure.words import Words


def test_distinct_n_by_hand():
    """Different runs over all runs; runs do not cross from one text into the next."""
    words = Words(["a b a b", "a b", "c"])
    assert distinct(words, 1) == pytest.approx(3 / 7)
    assert distinct(words, 2) == pytest.approx(2 / 4)  # ab ba ab | ab
    assert distinct(words, 5) is None


def test_collapse_shows():
    """Texts of one template are less distinct, more alike, and begin alike."""
    varied = Words([f"word{n} other{n * 7} thing{n * 3} end{n}" for n in range(100)])
    alike = Words([f"please write a story about number {n % 9}" for n in range(100)])
    one, other = diversity(varied), diversity(alike)
    assert one["distinct"]["2"] > 0.9 > other["distinct"]["2"]
    assert one["nearest"]["value"] < other["nearest"]["value"] == pytest.approx(1.0)
    assert one["openings"] == []
    first = other["openings"][0]
    assert (first["words"], first["count"], first["share"]) == ("please write a", 100, 1.0)


def test_nothing_to_measure():
    """Empty texts give a reason, one text no similarity."""
    assert diversity(Words(["", " "]))["why"]
    assert diversity(Words(["one text"]))["self_similarity"]["value"] is None
