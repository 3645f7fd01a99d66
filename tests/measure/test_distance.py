"""Distances between two sets of rows, beside scipy and beside chance."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist, jensenshannon
from scipy.stats import ks_2samp

from distill.measure.distance import label_distance, number_distance, vector_distance


def test_label_distance_is_that_of_scipy():
    """Jensen-Shannon distance in base 2; labels that only one side has count."""
    one, other = ["a"] * 6 + ["b"] * 4, ["a"] * 2 + ["b"] * 5 + ["c"] * 3
    found = label_distance(one, other)
    assert found["value"] == pytest.approx(jensenshannon([6, 4, 0], [2, 5, 3], base=2))
    assert found["low"] <= found["value"] <= found["high"]


def test_number_distance_is_that_of_scipy():
    """Kolmogorov-Smirnov; ties and different sizes included."""
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 20, 80), rng.integers(3, 25, 50)
    assert number_distance(one, other)["value"] == pytest.approx(ks_2samp(one, other).statistic)


def test_vector_distance_is_its_definition():
    """Energy distance without the pairs of a row with itself."""
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(30, 4)), rng.normal(0.5, 1, size=(20, 4))
    within = [cdist(z, z).sum() / (len(z) * (len(z) - 1)) for z in (x, y)]
    expected = 2 * cdist(x, y).mean() - sum(within)
    assert vector_distance(x, y)["value"] == pytest.approx(expected)


def test_chance_is_told_from_difference():
    """Two halves of one set do not differ; a shifted set does."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(200, 3))
    assert not vector_distance(x[:100], x[100:])["differs"]
    assert vector_distance(x[:100], x[100:] + 1)["differs"]
    assert label_distance(["a"] * 50, ["b"] * 50)["value"] == pytest.approx(1.0)


def test_nothing_to_compare_says_why():
    """An empty side has no distance, and says so."""
    for found in (label_distance([], ["a"]), number_distance([], [1]), vector_distance([], [[1]])):
        assert found["value"] is None
        assert found["why"]


def test_sets_that_are_alike_are_no_less_than_nothing_apart():
    """The estimate may fall below 0 by chance; the figure and its interval do not."""
    luck = np.random.default_rng(5)
    for _ in range(5):
        found = vector_distance(luck.normal(size=(40, 3)), luck.normal(size=(40, 3)))
        assert 0 <= found["low"] <= found["value"] <= found["high"]
