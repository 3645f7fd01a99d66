"""An exported student answers new rows as it was measured, and goes on where it stopped."""

import json
from pathlib import Path

import pytest

from distill.errors import DataError, UsageError
from distill.progress import silent
from distill.rows.readers import read_records
from distill.run.evaluate.predict import predict_file


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def test_its_answers_on_gold_give_the_reports_accuracy(trained, tmp_path):
    """Row by row, in order: the share of right answers is the report's figure, exactly."""
    done = predict_file("tiny", Path("gold.jsonl"), tmp_path / "new/out.jsonl", silent)
    gold, answered = lines("gold.jsonl"), lines(tmp_path / "new/out.jsonl")
    assert [{key: row[key] for key in ("text", "label")} for row in answered] == gold
    right = sum(row["answer"] == row["label"] for row in answered)
    report = json.loads((trained / "said.json").read_text())
    assert right / len(gold) == report["metrics"]["student"]["accuracy"]["value"]
    assert (done.rows, done.parsed, done.already) == (18, 18, 0)
    assert all(0 < row["p"] <= 1 for row in answered)


def test_it_goes_on_after_a_torn_line(trained, tmp_path):
    """A killed call leaves half a line; the next one cuts it off and answers the rest alike."""
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    predict_file("tiny", Path("gold.jsonl"), whole, silent)
    torn.write_bytes(whole.read_bytes()[:-40])
    done = predict_file("runs/tiny/student", Path("gold.jsonl"), torn, silent)
    assert done.already == 17
    # A batch of another size rounds the last digits of p otherwise.
    for row, expected in zip(lines(torn), lines(whole), strict=True):
        assert row == {**expected, "p": pytest.approx(expected["p"], rel=1e-4)}


def test_other_rows_are_not_mixed_in(trained, tmp_path):
    """An output that answers other rows, or is no output at all, is left as it is."""
    out = tmp_path / "out.jsonl"
    predict_file("tiny", Path("gold.jsonl"), out, silent)
    for target in (out, Path("gold.jsonl"), Path("said.json")):
        before = target.read_bytes()
        with pytest.raises(DataError, match="something else than answers to these rows"):
            predict_file("tiny", Path("pool.csv"), target, silent)
        assert target.read_bytes() == before


def test_columns_of_the_same_name_are_written_over(trained, tmp_path):
    """Rows that have an `answer` of their own get the student's, and can be gone on with."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "about bug", "answer": "x", "p": 7}\n' * 2)
    out = tmp_path / "out.jsonl"
    predict_file("tiny", rows, out, silent)
    assert predict_file("tiny", rows, out, silent).already == 2


@pytest.mark.parametrize(
    ("student", "rows", "error"),
    [
        ("nosuch", "gold.jsonl", "no run 'nosuch'"),
        ("tiny", "nosuch.csv", "no such file"),
        ("tiny", "said.json", "not rows of data"),
        ("tiny", "runs/tiny/stages/02-filter/part-00000.parquet", "row 1 lacks text"),
    ],
)
def test_what_cannot_be_answered_is_told(trained, tmp_path, student, rows, error):
    """No such student, no such rows, rows without the fields that the prompt names."""
    with pytest.raises((UsageError, DataError), match=error):
        predict_file(student, Path(rows), tmp_path / "out.jsonl", silent)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_can_be_asked_for(trained, tmp_path, suffix):
    """A .csv or .parquet holds the same answers, and nothing else is left behind."""
    out, plain = tmp_path / f"out{suffix}", tmp_path / "out.jsonl"
    predict_file("tiny", Path("gold.jsonl"), out, silent)
    predict_file("tiny", Path("gold.jsonl"), plain, silent)
    assert [row["answer"] for row in read_records(out)] == [row["answer"] for row in lines(plain)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, plain.name])
