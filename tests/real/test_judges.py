"""Recorded human verdicts: the figures of review-and-judges that anyone can recompute."""

import json

import pytest

from distill.judge.lines import reference_lines
from distill.judge.passport import judge_passport
from distill.judge.rows import read_judge_data
from distill.judge.verdicts import column_verdicts


@pytest.mark.parametrize(
    ("file", "longer", "without_ties"),
    [
        ("pandalm/testset-v1.json", 0.610611, 0.670022),
        ("llmbar/Natural.json", 0.56, 0.56),
    ],
)
def test_longer_wins(real, file, longer, without_ties):
    """The line that a judge must beat, on two real sets whose columns are guessed."""
    judged = read_judge_data(real / "data" / file)
    lines = reference_lines(judged, [row for row in judged.rows if row.gold], None, 0)
    assert lines["longer"].value == pytest.approx(longer, abs=5e-7)
    assert lines["longer_no_ties"].value == pytest.approx(without_ties, abs=5e-7)


def test_one_annotator_as_the_judge(real):
    """An annotator replayed against the majority of the others has the kappa of people."""
    path = real / "data" / "pandalm" / "testset-v1.json"
    judged = read_judge_data(path, gold_columns=["annotator2", "annotator3"])
    found = judge_passport(judged, column_verdicts(path, judged, "annotator1")).as_dict()
    assert found["n"] + found["without_gold"] == len(json.loads(path.read_text()))
    assert 0.9 < found["kappa"]["value"] < 0.95
