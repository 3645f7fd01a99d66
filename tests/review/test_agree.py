"""Agreement of reviewers and the dataset's error rate."""

import pytest

from distill.review.agree import agree, error_rate
from distill.review.log import read_log
from distill.review.pack import read_packs


def test_agreement_per_field(desk):
    """Accepting is agreeing with the value shown; skips are missing, rejected rows have none."""
    at = desk()
    pack = at.pack()
    at.decide(pack, "ann", {id: "accept" for id in ("r0", "r1", "r2", "r3", "r4")})
    at.decide(pack, "bob", {"r0": "accept", "r1": ("edit", {"label": "other"}), "r2": "skip",
                            "r3": "reject", "r4": "accept"})  # fmt: skip
    found = agree(at.source, read_log(at.folder), read_packs(at.folder))
    label = found["agreement"]["label"]
    assert (label["raters"], label["units"], label["units_used"]) == (2, 5, 3)
    assert label["percent"] == pytest.approx(2 / 3)
    assert set(label["cohen"]) == {"ann|bob"}
    assert found["agreement"]["decision"]["units_used"] == 4
    assert found["error_rate"]["n"] == 3  # two ties
    assert found["error_rate"]["value"] == 0


def test_error_rate_is_of_the_random_part(desk):
    """Rows that were chosen for being doubtful say nothing of the dataset."""
    rows = [{"id": f"r{at}", "text": "t", "label": "x", "label_votes": {"x": 2, "y": 1 + at % 2}}
            for at in range(40)]  # fmt: skip
    at = desk(rows, outputs=["label"])
    pack = at.pack(rows=20, choose="mixed")
    drawn = [row.row_id for row in pack.rows if "random" in row.why]
    rest = [row.row_id for row in pack.rows if "random" not in row.why]
    said = {**dict.fromkeys(rest, "reject"), **dict.fromkeys(drawn, "accept")}
    at.decide(pack, "ann", {**said, drawn[0]: ("edit", {"label": "y"})})
    rate = error_rate(at.source, read_log(at.folder), read_packs(at.folder))
    assert (rate.value, rate.n) == (0.1, 10)
    assert rate.low < 0.1 < rate.high


def test_reviews_under_another_rubric_stand_apart(desk):
    """A new rubric is another question: its reviews are a group of their own."""
    at = desk(rubric="old")
    at.decide(at.pack(), "ann", {"r0": "accept"})
    at.options["rubric"] = "new"
    pack = at.pack()
    at.decide(pack, "ann", {"r0": "accept"})
    at.decide(pack, "bob", {"r0": "accept"})
    found = agree(at.source, read_log(at.folder), read_packs(at.folder))
    assert found["schema_hash"] == pack.schema.hash
    assert found["agreement"]["label"]["units_used"] == 1
    [other] = found["other_schemas"].values()
    assert other["label"]["units_used"] == 0


def test_nothing_reviewed_says_why(desk):
    """Without reviews every figure has its reason."""
    at = desk()
    found = agree(at.source, [], {})
    assert found["error_rate"]["value"] is None
    assert "why" in found["error_rate"]
    assert found["agreement"]["label"]["alpha"]["value"] is None
