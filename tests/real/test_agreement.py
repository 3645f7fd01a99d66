"""Agreement of recorded human labels, to six decimals."""

import csv
import json

import pytest

from distill.measure.agreement import agreement


def test_pandalm_annotators(real):
    """Three annotators of 999 comparisons: every coefficient is the published one."""
    rows = json.loads((real / "data/pandalm/testset-v1.json").read_text("utf-8"))
    names = ("annotator1", "annotator2", "annotator3")
    found = agreement({row["idx"]: {name: row[name] for name in names} for row in rows})
    kappas = [figure.value for figure in found.cohen.values()]
    assert kappas == pytest.approx([0.852023, 0.878944, 0.861661], abs=5e-7)
    assert found.fleiss.value == pytest.approx(0.864175, abs=5e-7)
    assert found.alpha.value == pytest.approx(0.864221, abs=5e-7)
    assert found.units_used == 999


def test_xsum_workers_with_missing_ratings(real):
    """Yes and no with NULLs: alpha over all that can be paired, Fleiss over the complete units."""
    path = real / "data/xsum_hallucination/factuality_annotations_xsum_summaries.csv"
    ratings = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            said = None if row["is_factual"] == "NULL" else row["is_factual"]
            ratings.setdefault((row["bbcid"], row["system"]), {})[row["worker_id"]] = said
    found = agreement(ratings)
    assert found.units == 1869
    assert found.alpha.value == pytest.approx(0.773606, abs=5e-7)
    assert found.fleiss.value == pytest.approx(0.774363, abs=5e-7)
    assert found.fleiss.n == 1848
