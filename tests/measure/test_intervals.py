"""Figures and their intervals."""

import json
import math
import random
import statistics
import subprocess
import sys

import pytest

from distill.measure.intervals import Figure, bootstrap, over_seeds, proportion, student_t


def test_wilson_interval_matches_the_formula():
    """The interval of a share is Wilson's."""
    figure = proportion(81, 263)
    z, n, p = 1.959963984540054, 263, 81 / 263
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    assert figure.value == p
    assert (figure.low, figure.high) == (pytest.approx(middle - half), pytest.approx(middle + half))
    assert proportion(5, 5).high == 1.0
    assert proportion(0, 5).low == 0.0


def test_as_dict_is_the_contract_shape():
    """F is value, low, high, n; or null with why; sd and seeds only over seeds."""
    assert proportion(0, 0).as_dict() == {"value": None, "why": "no rows"}
    assert set(proportion(1, 2).as_dict()) == {"value", "low", "high", "n"}
    assert Figure(math.nan, None, None, 3).as_dict()["value"] is None
    many = over_seeds([proportion(8, 10), proportion(9, 10)]).as_dict()
    assert set(many) == {"value", "low", "high", "n", "sd", "seeds"}
    json.dumps(many, allow_nan=False)


def test_bootstrap_is_seeded_and_close_to_theory():
    """The same seed gives the same interval, near mean +- 1.96 standard errors."""
    rng = random.Random(0)
    values = [rng.gauss(2, 1) for _ in range(300)]
    figure = bootstrap(values, seed=5)
    assert figure == bootstrap(values, seed=5)
    half = 1.96 * statistics.stdev(values) / math.sqrt(300)
    assert figure.value == pytest.approx(statistics.fmean(values))
    assert figure.low == pytest.approx(figure.value - half, abs=0.02)
    assert figure.high == pytest.approx(figure.value + half, abs=0.02)


def test_bootstrap_draws_whole_groups():
    """Ten copies of each value widen the interval to that of the single values."""
    values = [float(number % 7) for number in range(40)]
    copied = [value for value in values for _ in range(10)]
    groups = [at // 10 for at in range(400)]
    alone, together, naive = (
        bootstrap(values, 1),
        bootstrap(copied, 1, groups),
        bootstrap(copied, 1),
    )
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.01)
    assert naive.high - naive.low < 0.5 * (alone.high - alone.low)


def test_bootstrap_takes_any_statistic():
    """Values may be pairs and the statistic a function of a list of them."""
    pairs = [("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")] * 20
    figure = bootstrap(pairs, 1, statistic=lambda drawn: sum(x == y for x, y in drawn) / len(drawn))
    assert figure.value == 0.75
    assert figure.low < 0.75 < figure.high


def test_over_seeds_holds_spread_and_row_uncertainty():
    """The mean's interval is never narrower than one seed's and grows with the spread of seeds."""
    one = proportion(80, 100)
    same = over_seeds([one, one, one])
    assert (same.value, same.low, same.sd) == (0.8, pytest.approx(one.low), 0.0)
    spread = over_seeds([proportion(70, 100), one, proportion(90, 100)], within=(0, 1))
    assert spread.sd == pytest.approx(0.1)
    assert spread.seeds == 3
    assert spread.low < one.low
    assert spread.high <= 1
    assert over_seeds([one]) == one
    assert over_seeds([one, proportion(0, 0)]).why == "no rows"


def test_without_the_extra_the_line_to_type_is_named():
    """Importing needs no numpy; using it without the extra says what to install."""
    code = (
        "import sys\n"
        "for name in ('numpy', 'scipy', 'statsmodels'): sys.modules[name] = None\n"
        "from distill.measure import intervals\n"
        "try: intervals.bootstrap([1, 2], 0)\n"
        "except intervals.PrerequisiteError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'distill-kit[evaluate]'" in done.stdout


def test_students_t_without_scipy() -> None:
    """The quantile of scipy's t, to 0.2 % where few rows make it wide."""
    from scipy.stats import t

    for freedom in (1, 2, 3, 4, 7, 15, 49, 999):
        assert student_t(freedom) == pytest.approx(float(t.ppf(0.975, freedom)), rel=2e-3)
