"""What a guess is worth, against a guess that is drawn."""

import json
import random

import pytest

from distill.judge.passport import judge_passport
from distill.judge.rows import read_judge_data


def line(tmp_path, records):
    """The reference line `random` of rows without any judge."""
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return judge_passport(read_judge_data(path), None).as_dict()["reference_lines"]["random"]


def pairs(winners):
    return [{"instruction": "q", "a": "x", "b": "y", "winner": winner} for winner in winners]


def scores(given, **more):
    return [{"instruction": "q", "response": "x", "score": score} | more for score in given]


@pytest.mark.parametrize(
    ("records", "over"),
    [
        (pairs("aabbb"), ["a", "b"]),
        (pairs(["a", "b", "tie", None]), ["a", "b", "tie"]),
        (scores([1, 5, 5, 2]), [1, 2, 3, 4, 5]),
        (scores(["pass", "fail", "pass"]), [0, 1]),
        (scores([2, 3], rubric={"criterion": "c", "levels": dict.fromkeys("12345", "t")}),
         [1, 2, 3, 4, 5]),
    ],
)  # fmt: skip
def test_every_allowed_verdict_is_as_likely(tmp_path, records, over):
    """The verdicts come from what people gave, or the levels of the rubric; nothing is drawn."""
    found = line(tmp_path, records)
    assert found["over"] == over
    assert found["value"] == found["low"] == found["high"] == pytest.approx(1 / len(over))
    assert f"among {len(over)}" in found["why"]


def test_it_is_what_guessing_gives(tmp_path):
    """A thousand drawn guesses at each row come to the closed form, also off the list's grid."""
    gold = [1, 2, 2, 5, 4, 3, 3, 1]
    levels = {"criterion": "c", "levels": dict.fromkeys("12345", "t")}
    found = line(tmp_path, scores(gold, rubric=levels))
    rng = random.Random(0)
    hits = [rng.randint(1, 5) == score for score in gold for _ in range(1000)]
    assert found["value"] == pytest.approx(sum(hits) / len(hits), abs=0.02)


def test_a_scale_without_a_list_has_no_guess(tmp_path):
    """Means of raters lie anywhere; with null comes why."""
    found = line(tmp_path, scores([1.25, 3.5, 4.75]))
    assert found["value"] is None
    assert "list of verdicts" in found["why"]
