"""Agreement of raters: published examples, missing ratings, reasons where it is undefined."""

import math

import pytest
from statsmodels.stats.inter_rater import fleiss_kappa

from distill.measure.agreement import agreement

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: 4 observers, 12 units.
OBSERVERS = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]


def units(*rows):
    """Ratings from one text per rater; a dot is missing."""
    table = [row.split() for row in rows]
    return {
        at: {f"r{rater}": None if v == "." else int(v) for rater, v in enumerate(column)}
        for at, column in enumerate(zip(*table, strict=True))
    }


@pytest.mark.parametrize(
    ("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_alpha_of_the_published_example(level, value):
    """Alpha with missing ratings is what Krippendorff's own example says."""
    found = agreement(units(*OBSERVERS), level=level)
    assert found.alpha.value == pytest.approx(value, abs=5e-4)
    assert (found.raters, found.units, found.units_used) == (4, 12, 11)
    assert found.alpha.low < found.alpha.value < found.alpha.high


def test_fleiss_of_the_published_example():
    """Kappa of Fleiss' table (1971, ten units, fourteen raters) is 0.210, as statsmodels says."""
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    ratings = {}
    for at, row in enumerate(table):
        spelled = [label for label, count in enumerate(row) for _ in range(count)]
        ratings[at] = {str(rater): label for rater, label in enumerate(spelled)}
    found = agreement(ratings, anonymous=True)
    assert found.fleiss.value == pytest.approx(fleiss_kappa(table), abs=1e-12)
    assert found.fleiss.value == pytest.approx(0.210, abs=5e-4)
    assert (found.cohen, found.by_rater, found.raters) == ({}, {}, 14)


def test_cohen_of_a_known_table():
    """Two raters with 20, 5, 10, 15 in the four cells have kappa 0.4, as the textbook says."""
    pairs = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    found = agreement({at: {"a": one, "b": other} for at, (one, other) in enumerate(pairs)})
    assert found.cohen["a|b"].value == pytest.approx(0.4)
    assert found.percent.value == pytest.approx(0.7)
    assert found.by_rater["a"].value == pytest.approx(0.7)
    assert found.by_label["y"].value == pytest.approx(40 / 55)


def test_undefined_figures_say_why():
    """Where all ratings are the same, or no unit has two, there is a reason and no number."""
    same = agreement({at: {"a": "x", "b": "x"} for at in range(5)})
    assert same.percent.value == 1
    for figure in (same.alpha, same.fleiss, same.cohen["a|b"]):
        assert figure.value is None
        assert "same" in figure.why
    for ratings in ({}, {1: {"a": "x"}}, {1: {"a": None, "b": "x"}}):
        found = agreement(ratings)
        assert found.alpha.as_dict() == {"value": None, "why": "no unit has two ratings"}
        assert found.as_dict()["percent"] is None


def test_levels_need_values_with_an_order():
    """An ordinal level takes numbers, or the scale that is given; anything else says why not."""
    words = {at: {"a": one, "b": other} for at, (one, other) in enumerate(["lm", "mh", "ll", "hh"])}
    assert "not a number" in agreement(words, level="ordinal").alpha.why
    assert agreement(words, level="ordinal", order="lmh").alpha.value > 0.5
    assert "not on the scale" in agreement(words, level="ordinal", order="lm").alpha.why
    assert agreement(words, level="interval").alpha.value is None


def test_ratings_are_compared_by_what_they_say():
    """1, 1.0 and "1" are one label; true is none of them; a list is compared whole."""
    found = agreement({1: {"a": 1, "b": "1"}, 2: {"a": 1.0, "b": 1}, 3: {"a": True, "b": 1}})
    assert found.percent.value == pytest.approx(2 / 3)
    assert agreement({1: {"a": ["x"], "b": ["x"]}}).percent.value == 1


def test_same_seed_same_interval():
    """The bootstrap is seeded, and figures without spread have an interval of one point."""
    one, other = agreement(units(*OBSERVERS), seed=3), agreement(units(*OBSERVERS), seed=3)
    assert one == other
    perfect = agreement({at: {"a": at % 2, "b": at % 2} for at in range(40)})
    assert (perfect.alpha.value, perfect.alpha.low, perfect.alpha.high) == (1, 1, 1)


def test_many_raters_leave_pairs_out_and_say_so():
    """Cohen is given for the pairs with most units in common; the others are counted."""
    ratings = {at: {f"r{at:02d}": "x", f"r{at + 1:02d}": "y", "r00": "x"} for at in range(1, 250)}
    found = agreement(ratings, resamples=5)
    assert len(found.cohen) == 200
    assert found.pairs_left_out > 0
    assert all(math.isfinite(figure.value or 0) for figure in found.cohen.values())
