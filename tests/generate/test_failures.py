"""When failures stop a run."""

import random

import pytest

from distill.errors import RunError
from distill.generate.failures import FailureWatch
from distill.generate.fill import Filled
from distill.rows.row import Row

GOOD = Filled(Row("a", {}))
BAD = Filled(Row("b", {}, "failed", "parse"), "nonsense")


def test_a_rate_well_under_the_limit_never_stops_a_long_run():
    """4 % failures against a limit of 10 % pass through any bad stretch of 20,000 rows."""
    rng = random.Random(0)
    watch = FailureWatch(0.1)
    for _ in range(20_000):
        watch.add(BAD if rng.random() < 0.04 else GOOD)
    watch.finish_round()


def test_a_server_that_goes_down_stops_the_run_soon():
    """After 10,000 good rows a hundred failures are enough."""
    watch = FailureWatch(0.1)
    for _ in range(10_000):
        watch.add(GOOD)
    with pytest.raises(RunError, match="parse"):
        _add_many(watch, 100)


def test_at_the_end_of_a_round_the_share_counts_exactly():
    """From 50 rows on the limit holds for all rows so far; fewer must all have failed."""
    watch = FailureWatch(0.1)
    for _ in range(45):
        watch.add(GOOD)
    for _ in range(4):
        watch.add(BAD)
    watch.finish_round()
    watch.add(BAD)
    watch.finish_round()
    watch.add(BAD)
    with pytest.raises(RunError, match="6 of the last 51"):
        watch.finish_round()
    none = FailureWatch(0.0)
    none.add(GOOD)
    none.finish_round()
    with pytest.raises(RunError):
        _add_and_finish(none)


def _add_and_finish(watch):
    watch.add(BAD)
    watch.finish_round()


def _add_many(watch, count):
    for _ in range(count):
        watch.add(BAD)
