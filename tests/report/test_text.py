"""The comparison as plain text."""

from typing import Any

from distill.report.model import empty_report
from distill.report.text import comparison_table


def test_the_table_is_aligned_and_ordered(report: dict[str, Any]) -> None:
    """Systems stand in one order, every line is as wide as the rule, and spreads are shown."""
    lines = comparison_table(report, ["accuracy", "macro_f1"]).splitlines()
    assert [line.split("  ")[0] for line in lines[2:-1]] == [
        "teacher", "student", "hard labels", "hard labels confident", "student before", "majority",
    ]  # fmt: skip
    assert {len(line) for line in lines[:-1]} == {len(lines[1])}
    assert "0.807 ± 0.041" in lines[3]
    assert "0.947 [0.927, 0.967]" in lines[2]
    assert "3 seeds" in lines[-1]
    assert "600 rows of gold" in lines[-1]


def test_columns_without_a_value_are_left_out(report: dict[str, Any]) -> None:
    """A metric that no system has makes no column; one that some lack is a dash there."""
    text = comparison_table(report)
    assert "USD per 1,000" not in text
    assert "rows/s" in text
    assert " - " in text.splitlines()[2]


def test_nothing_measured_is_said() -> None:
    """A report without figures gives a sentence, not an empty table."""
    assert comparison_table(empty_report("x", "y")) == "Nothing was measured."
