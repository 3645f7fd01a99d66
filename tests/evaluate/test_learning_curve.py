"""Whether more rows would help: gains, their intervals, and the projection."""

import pytest

from distill.evaluate.learning_curve import Point, learning_curve
from distill.measure.intervals import Figure, proportion


def point(share: float, right: int, n: int = 400) -> Point:
    """A student that gets the first `right` of n rows right."""
    scores = [[1.0] * right + [0.0] * (n - right)]
    return Point(share, int(1000 * share), [{"accuracy": proportion(right, n)}], scores)


def test_a_rising_curve_is_worth_more_rows() -> None:
    """The gain of the last doubling is the difference of its two points; its price is named."""
    found = learning_curve([point(1.0, 320), point(0.25, 200), point(0.5, 260)], 0.01)
    assert [p["rows"] for p in found["points"]] == [250, 500, 1000]
    assert found["gain"]["value"] == pytest.approx(60 / 400)
    assert found["gain"]["low"] > 0
    assert found["worth"] == "yes"
    assert found["next"]["usd"] == pytest.approx(10.0)
    assert "10.00 USD" in found["because"]


def test_the_projection_follows_the_power_law() -> None:
    """Errors of 0.4, 0.2, 0.1 halve with every doubling, so the next one is 0.05."""
    found = learning_curve([point(0.25, 240), point(0.5, 320), point(1.0, 360)])
    assert found["next"]["value"] == pytest.approx(0.95)
    assert found["next"]["gain"] == pytest.approx(0.05)
    assert found["next"]["usd"] is None


def test_a_gain_over_more_than_a_doubling_is_divided() -> None:
    """From a quarter to the whole are two doublings."""
    found = learning_curve([point(0.25, 200), point(1.0, 280)])
    assert found["gain"]["value"] == pytest.approx(0.1)


def test_a_flat_curve_is_not_worth_more() -> None:
    """No gain, or a loss, answers no; a small gain that may be chance answers unclear."""
    assert learning_curve([point(0.5, 320), point(1.0, 320)])["worth"] == "no"
    assert learning_curve([point(0.5, 320), point(1.0, 310)])["worth"] == "no"
    wavering = point(1.0, 0)
    scores = [1.0] * 300 + [0.0] * 20 + [1.0] * 26 + [0.0] * 54
    wavering = Point(1.0, 1000, [{"accuracy": proportion(326, 400)}], [scores])
    assert learning_curve([point(0.5, 320), wavering])["worth"] == "unclear"


def test_a_loss_improves_downwards() -> None:
    """For a loss the gain is what it fell by; without answers the figures' own intervals count."""
    points = [Point(share, int(1000 * share), [{"loss": Figure(v, v - 0.01, v + 0.01, 50)}], ())
              for share, v in ((0.5, 2.0), (1.0, 1.0))]  # fmt: skip
    found = learning_curve(points)
    assert found["gain"]["value"] == pytest.approx(1.0)
    assert found["gain"]["high"] - found["gain"]["value"] == pytest.approx(0.01 * 2**0.5)
    assert found["next"]["value"] == pytest.approx(0.5)
    assert found["worth"] == "yes"


def test_without_a_metric_there_is_no_curve() -> None:
    """Students that were measured on nothing that decides make no curve."""
    assert learning_curve([Point(1.0, 10, [{"parsed": proportion(1, 1)}], ())]) is None
