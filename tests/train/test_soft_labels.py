"""What a row tells about the labels: log-probabilities, votes, or one probability."""

import math

import pytest

from distill.train.soft_labels import soft_labels

LABELS = ("a", "b", "c")


@pytest.mark.parametrize(
    ("fields", "shares"),
    [
        ({"y_logp": {"a": math.log(0.2), "b": math.log(0.5), "c": math.log(0.3)}}, (0.2, 0.5, 0.3)),
        ({"y_logp": {"a": math.log(0.2), "b": math.log(0.2)}}, (0.5, 0.5, 0)),
        ({"y_votes": {"a": 3, "b": 1}}, (0.75, 0.25, 0)),
        ({"y_votes": {"a": 1, "z": 5}, "y_p": 0.1}, (1, 0, 0)),
        ({"y": "a", "y_p": 0.6}, (0.6, 0.2, 0.2)),
        ({"z_votes": {"c": 2}}, (0, 0, 1)),
    ],
)
def test_a_distribution_is_read(fields, shares):
    """Shares follow the order of the labels and sum to one; strangers are left out."""
    found = soft_labels(fields, ("y", "z"), LABELS, "a")
    assert [math.exp(one) for one in found] == pytest.approx(shares, abs=1e-9)


@pytest.mark.parametrize(
    "fields", [{}, {"y_votes": {"z": 3}}, {"y_votes": None}, {"y": "b", "y_p": 0.6}, {"y_p": "x"}]
)
def test_rows_without_one(fields):
    """Nothing, only strangers, or the probability of another label than the row's: none."""
    assert soft_labels(fields, ("y",), LABELS, "a") is None
