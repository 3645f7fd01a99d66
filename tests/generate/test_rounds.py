"""Sizes of rounds."""

from hypothesis import given
from hypothesis import strategies as st

from distill.generate.rounds import LARGEST, SMALLEST, round_size


def test_the_first_round_aims_a_little_over_the_target():
    """20 % more than wanted, within bounds."""
    first = {"accepted": 0, "tried": 0, "grows": False}
    assert round_size(100, 400, **first) == 120
    assert round_size(5, 20, **first) == SMALLEST
    assert round_size(10_000, 40_000, **first) == LARGEST
    assert round_size(None, 40_000, **first) == LARGEST


def test_later_rounds_follow_the_yield():
    """What is missing over the yield so far, and a tenth more."""
    assert round_size(1000, 4000, accepted=600, tried=1200, grows=False) == 880
    assert round_size(1000, 4000, accepted=0, tried=100, grows=False) == LARGEST


def test_growth_takes_several_rounds():
    """A recipe that grows never spends its target in one round."""
    assert round_size(800, 3200, accepted=0, tried=0, grows=True) == 100
    assert round_size(None, 800, accepted=0, tried=0, grows=True) == 100


@given(
    target=st.integers(1, 10**6), tried=st.integers(0, 10**6), share=st.floats(0, 1),
    grows=st.booleans(),
)  # fmt: skip
def test_sizes_stay_in_bounds(target, tried, share, grows):
    """Every round has between SMALLEST and LARGEST candidates."""
    accepted = min(target - 1, int(tried * share))
    size = round_size(target, 4 * target, accepted=accepted, tried=tried, grows=grows)
    assert SMALLEST <= size <= LARGEST
