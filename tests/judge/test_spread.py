"""Scores that are all alike, and the order of two answers that they imply."""

import json

import pytest

from distill.judge.passport import judge_passport
from distill.judge.rows import read_judge_data
from distill.judge.spread import entropy, implied_order, spread
from distill.judge.verdicts import Verdict
from distill.report.judge_text import passport_text


def test_entropy_and_collapse():
    """Four values alike are two bits; a judge that says 4 to everything is told apart."""
    gold = [1.0, 2.0, 3.0, 4.0] * 6
    assert entropy(gold) == pytest.approx(2)
    assert entropy([]) == 0
    found = spread(gold, [4.0] * 24)
    assert (found["judge"], found["people"]) == (0, pytest.approx(2))
    assert found["alarm"].startswith("The scores have collapsed")
    assert spread(gold, gold)["alarm"] is None
    assert spread(gold[:4], [4.0] * 4)["alarm"] is None


def test_implied_order():
    """Pairs of one question only; what people score alike says nothing, the judge's ties are wrong.

    q has 1 < 3 right, 1 < 3 right, 3 = 3 left out; r has 2 < 5 as a tie.
    """
    figure = implied_order(["q", "q", "q", "r", "r"], [1, 3, 3, 2, 5], [2, 4, 5, 3, 3])
    assert (figure.value, figure.n) == (pytest.approx(2 / 3), 3)
    assert implied_order(["q", "r"], [1, 2], [1, 2]).value is None


def test_both_are_in_the_passport(tmp_path):
    """With the alarm in words."""
    rows = [{"id": at, "instruction": f"q{at // 2}", "response": "r", "score": at % 4}
            for at in range(24)]  # fmt: skip
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    said = [Verdict(str(at), 2.0) for at in range(24)]
    found = judge_passport(read_judge_data(path), said).as_dict()
    assert found["absolute"]["spread"]["judge"] == 0
    assert found["absolute"]["implied_order"]["value"] == 0
    assert "The scores have collapsed" in passport_text(found)
