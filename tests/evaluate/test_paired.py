"""Paired tests: what statsmodels and a hand count give."""

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from distill.evaluate.paired import paired


def test_right_or_wrong_is_mcnemars_exact_test():
    """Only rows that one system alone got right decide."""
    first = [1.0] * 30 + [0.0] * 14 + [1.0] * 3 + [0.0] * 10
    second = [1.0] * 30 + [1.0] * 14 + [0.0] * 3 + [0.0] * 10
    found = paired(first, second)
    want = mcnemar([[30, 3], [14, 10]], exact=True).pvalue
    assert found["test"] == "mcnemar"
    assert found["p"] == pytest.approx(want)
    assert found["difference"].value == pytest.approx(11 / 57)
    assert found["difference"].low > 0


def test_graded_scores_are_permuted():
    """A steady small gain is seen, the same scores give no p at all."""
    first = [0.1 * (n % 7) for n in range(60)]
    found = paired(first, [value + 0.05 for value in first])
    assert found["test"] == "permutation"
    assert found["p"] < 0.01
    assert paired(first, first)["p"] is None
