"""A judge's passport as a page: every part that was measured, nothing of a row as markup."""

import json

import pytest

from distill.judge.passport import judge_passport
from distill.judge.rows import read_judge_data
from distill.judge.verdicts import Verdict
from distill.report.html import render
from distill.report.judge_page import judge_part, render_judge

ATTACK = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def passport(tmp_path_factory):
    """40 pairs, asked in both orders, with confidences, flips, a failure and a hostile answer."""
    path = tmp_path_factory.mktemp("pairs") / "rows.jsonl"
    rows = [
        {"id": at, "instruction": f"q{at}", "a": ATTACK if at < 9 else "x" * (at + 1),
         "b": "y", "winner": "b" if at % 4 == 0 else "a", "category": "odd" if at % 2 else "even"}
        for at in range(40)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    said = []
    for at in range(40):
        said.append(Verdict(str(at), "a", "ab", 0.6 + at / 100))
        second = None if at == 3 else "b" if at % 10 == 0 else "a"
        said.append(Verdict(str(at), second, "ba", 0.6 + at / 100))
    return judge_passport(read_judge_data(path), said).as_dict()


def test_all_that_was_measured_is_there(passport):
    """Coverage, figures, lines to beat, leanings, calibration, slices and disagreements."""
    part = judge_part(passport)
    assert "39" not in part["coverage"]
    assert "1 could not" in part["coverage"]
    names = {line["name"] for line in part["figures"]}
    assert {"consistency", "both right", "kappa"} <= {name.lower() for name in names}
    assert any("change with the order" in line for line in part["leanings"])
    assert any("longer answer" in line for line in part["leanings"])
    assert part["calibration"]["kept"]
    assert {line["name"].lower() for line in part["slices"]} >= {"category: odd", "category: even"}
    assert part["worst"][0]["fields"]["people"] == "b"


def test_the_page_is_inert_and_whole(passport):
    """Both plots are drawn; a row's script is text; absolute judges have a page as well."""
    page = render_judge(passport, "rows")
    assert 'data-plot="plot-reliability"' in page
    assert 'data-plot="plot-selective"' in page
    assert ATTACK not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Its worst disagreements" in page


def test_a_page_without_verdicts(tmp_path):
    """Only the lines that a judge must beat; each figure that is missing says why."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"instruction": "q", "response": "r", "score": 3}), encoding="utf-8")
    page = render_judge(judge_passport(read_judge_data(path), None).as_dict(), "rows")
    assert "What it must beat" in page
    assert "no judge and no verdicts were given" in page
    assert "data-plot" not in page


def test_the_report_of_a_run_has_the_students_passport(passport, report):
    """The same part, where the task is to judge."""
    assert "How far to trust the judge" not in render(report, {})
    page = render({**report, "judging": {"student": passport, "teacher": passport}}, {})
    assert page.count("How far to trust the judge") == 1
    assert 'data-plot="plot-reliability"' in page


def test_without_a_judge_there_are_the_lines_alone(tmp_path):
    """What a judge must beat, and why nothing else stands there; no table of gaps."""
    path = tmp_path / "rows.jsonl"
    rows = [{"id": at, "instruction": "q", "a": "x", "b": "yy", "winner": "b"} for at in range(9)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = judge_passport(read_judge_data(path), None).as_dict()
    page = render_judge(found, "rows")
    assert "no judge and no verdicts were given" in page
    assert "against people" not in page
    assert "What it must beat" in page
