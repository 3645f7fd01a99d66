"""Verdicts as other projects' judges wrote them."""

import json

import pytest

from distill.errors import DataError
from distill.judge.recorded import column_verdicts, read_verdict_file
from distill.judge.rows import read_judge_data
from distill.judge.verdicts import by_row
from distill.judge.written import written_verdict


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Well done. [RESULT] 4", "absolute", 4),
        ("Feedback: fine [RESULT] Score: 4</s>", "absolute", 4),
        ("It says [RESULT] 5, but is not. [RESULT] 1", "absolute", 1),
        ("It says [RESULT] 5 and goes on without an", "absolute", None),
        ("Rating: [[7]]", "absolute", 7),
        ("[RESULT] 4.5", "absolute", None),
        ("so\nVERDICT: 3", "absolute", 3),
        ("Good. [RESULT] B", "pairwise", "b"),
        ("My final verdict is tie: [[A=B]].", "pairwise", "tie"),
        ("[[B>>A]]", "pairwise", "b"),
        ("... So, the final decision is Response 1.", "pairwise", "a"),
        ('{"feedback": "f", "winner": "B"}', "pairwise", "b"),
        ("A is better than B, it seems", "pairwise", None),
        ("", "pairwise", None),
    ],
)
def test_marks_at_the_end(text, kind, value):
    """Only a mark that ends the text counts."""
    assert written_verdict(text, kind) == value


def pairs(tmp_path, **more):
    path = tmp_path / "rows.json"
    rows = [{"id": n, "a": "x", "b": "yy", "winner": "a", **more} for n in range(2)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_raw_texts_are_read_by_the_order_they_were_written_in(tmp_path):
    """A text speaks of places: B of the other order is the first answer."""
    data = read_judge_data(pairs(tmp_path))
    lines = [
        {"id": 0, "order": "AB", "raw": "so [[A]]"},
        {"id": 0, "order": "ba", "raw": "so [[B]]"},
        {"id": 1, "order": "ab", "raw": "cut off"},
        {"id": 1, "order": "ba", "winner": "Tie", "raw": "so [[A]]"},
    ]
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps(lines), encoding="utf-8")
    found = by_row(read_verdict_file(path, data).verdicts, data)
    assert (found["0"].value("ab"), found["0"].value("ba")) == ("a", "a")
    assert (found["1"].value("ab"), found["1"].value("ba")) == (None, "tie")


def test_a_column_of_raw_texts(tmp_path):
    """A column may hold verdicts or whole answers; what is neither is a failure."""
    path = pairs(tmp_path, said="Both fine. [RESULT] A")
    data = read_judge_data(path)
    assert [one.value for one in column_verdicts(path, data, "said")] == ["a", "a"]


@pytest.mark.parametrize("order", [0, "first", "aa"])
def test_orders_that_are_none_are_refused(tmp_path, order):
    """Nothing is taken for the usual order unless it is missing."""
    data = read_judge_data(pairs(tmp_path))
    path = tmp_path / "verdicts.jsonl"
    path.write_text(json.dumps({"id": 0, "order": order, "winner": "a"}), encoding="utf-8")
    with pytest.raises(DataError, match="the order is"):
        read_verdict_file(path, data)
