"""report.json: its fixed shape."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from distill.errors import DataError
from distill.report.model import check_report, empty_report, json_schema

SHIPPED = Path(__file__).parents[2] / "recipes" / "report.schema.json"


def test_the_shipped_schema_is_fresh() -> None:
    """recipes/report.schema.json is what the model says."""
    assert json.loads(SHIPPED.read_text()) == json_schema(), (
        "write it again: python -m distill.report.model recipes/report.schema.json"
    )


def test_a_full_and_a_minimal_report_fit(report: dict[str, Any]) -> None:
    """Both a report of everything and one of nothing fit the schema, as JSON too."""
    minimal = empty_report("x", "abc")
    for each in (report, minimal, json.loads(json.dumps(report))):
        check_report(each)
        Draft202012Validator(json.loads(SHIPPED.read_text())).validate(each)
    assert set(minimal) == set(report)


@pytest.mark.parametrize(
    "key", ["run", "rows", "shortfall", "cost", "metrics", "metrics_by_set", "training", "verdict"]
)
def test_every_key_is_always_there(key: str) -> None:
    """A report without one of its keys is refused, and the problem names it."""
    report = empty_report("x", "abc")
    del report[key]
    with pytest.raises(DataError, match=key):
        check_report(report)


def test_a_figure_is_known_or_says_why(report: dict[str, Any]) -> None:
    """A null without a reason, a figure without its n and a NaN are refused, with their place."""
    for wrong in ({"value": None}, {"value": 0.5, "low": 0.4, "high": 0.6}):
        broken = copy.deepcopy(report)
        broken["metrics"]["student"]["accuracy"] = wrong
        with pytest.raises(DataError) as caught:
            check_report(broken, file="report.json")
        assert str(caught.value.problems[0].key).startswith("metrics.student.accuracy")
    broken = copy.deepcopy(report)
    broken["metrics"]["student"]["accuracy"]["value"] = float("nan")
    with pytest.raises(DataError, match=r"metrics\.student\.accuracy\.value"):
        check_report(broken)
    broken = copy.deepcopy(report)
    broken["rows"][1]["accepted"] = float("inf")
    with pytest.raises(DataError):
        check_report(broken)
