"""Gates for CI."""

import pytest

from distill.errors import UsageError
from distill.inspect.gates import check_gates, parse_gates


@pytest.mark.parametrize("text", ["agreement", "agreement=", "=1", "a=nan", "a=x"])
def test_what_is_no_gate(text):
    """A gate is a name and a number."""
    with pytest.raises(UsageError, match="name=number"):
        parse_gates([text], "--fail-under")


def test_several_in_one_flag():
    """Commas and repeated flags both work."""
    assert parse_gates(["a=1,b=2", "c=0.5"], "--fail-under") == {"a": 1.0, "b": 2.0, "c": 0.5}


def test_undefined_passes_nothing():
    """A figure without a value fails a gate in both directions, with the reason."""
    alpha = {"value": None, "why": "every rating is the same"}
    report = {"agreement": {"f": {"alpha": alpha}}, "leakage": {}, "rows": 3}
    [under, over] = check_gates(report, {"agreement": 0.1}, {"agreement": 0.9})
    assert not under["passed"]
    assert not over["passed"]
    assert "every rating is the same" in under["why"]
    [leak] = check_gates(report, {}, {"leakage": 0})
    assert leak["passed"]


def test_paths_and_unknown_names():
    """Any place of the JSON can be named; a name that is nowhere is a usage error."""
    report = {"duplicates": {"near": 4}, "label_errors": [1, 2], "agreement": {}, "leakage": {}}
    [near, errors] = check_gates(report, {}, {"duplicates.near": 3, "label_errors": 2})
    assert (near["passed"], errors["passed"]) == (False, True)
    with pytest.raises(UsageError, match="nosuch"):
        check_gates(report, {"nosuch": 1}, {})
