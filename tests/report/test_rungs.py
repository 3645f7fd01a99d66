"""The ladder on the page: tests, the 2 x 2, who was asked."""

from typing import Any

from distill.report.html import render
from distill.report.model import check_report
from distill.report.rungs import ladder_words, rung_lines, two_by_two_lines

F = {"value": 0.25, "low": 0.1, "high": 0.4, "n": 40}
TEST = {"a": "few_shot_4", "b": "<b>student", "set": "gold", "n": 40, "difference": F,
        "p": 0.001, "p_adjusted": 0.004, "test": "mcnemar"}  # fmt: skip
CELL = {"system": "retrieval", "score": F}
LADDER = {
    "asked": "student_before",
    "few_shot": {"source": "review", "ids": ["a", "b"], "seed": 7, "turns": True},
    "retrieval": {"method": "bm25", "passages": 4, "among": 1200},
}


def test_lines_say_what_is_more_than_chance() -> None:
    """A clear difference is marked; one that was not tested has dashes."""
    same = {**TEST, "p": None, "p_adjusted": None, "difference": {"value": None, "why": "none"}}
    clear, none = rung_lines([TEST, same])
    assert (clear["clear"], clear["difference"]) == (True, "+0.250 [+0.100, +0.400]")
    assert (none["clear"], none["p"], none["difference"]) == (False, "-", "-")
    assert rung_lines(None) == []


def test_who_was_asked_is_said_in_words() -> None:
    """The source and the seed of the examples, and how passages were found."""
    text = ladder_words(LADDER)
    assert "2 examples are rows of review, drawn with seed 7" in text
    assert "1,200" in text
    assert ladder_words(None) == ""
    assert two_by_two_lines(None) == []


def test_the_page_shows_them_as_text(report: dict[str, Any]) -> None:
    """All three parts stand on the page, names of systems escaped."""
    report |= {
        "significance": [TEST],
        "ladder": LADDER,
        "two_by_two": {"base": {"without": CELL, "with": CELL}},
    }
    check_report(report)
    page = render(report, {})
    assert "&lt;b&gt;student" in page
    assert "With and without retrieval" in page
    assert "asked of student before" in page
