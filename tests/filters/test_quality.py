"""quality."""

import asyncio
import json
import random

import pytest

from distill.errors import DataError
from distill.filters.chain import build_chain
from distill.rows.row import Row

GOOD = ["please", "could", "you", "help", "my", "order", "it", "has", "not", "arrived", "thank"]
BAD = ["asdf", "lorem", "ipsum", "foo", "bar", "baz", "qux", "blah", "xx", "yy"]


def texts(words, count, seed):
    """So many texts of these words."""
    luck = random.Random(seed)
    return [" ".join(luck.choices(words, k=8)) for _ in range(count)]


def write(path, records):
    """A JSONL file."""
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))


@pytest.fixture
def reviewed(tmp_path):
    """A file of decisions: 20 accepted or edited, 20 rejected, one skipped."""
    records = [
        {"text": text, "label": "a", "decision": ("accept", "edit")[at % 2]}
        for at, text in enumerate(texts(GOOD, 20, 1))
    ]
    records += [{"text": t, "label": "a", "decision": "reject"} for t in texts(BAD, 20, 2)]
    write(tmp_path / "seen.jsonl", [*records, {"text": "?", "label": "a", "decision": "skip"}])
    return tmp_path


def rows_of():
    """Ten good and ten bad rows."""
    return [
        Row(f"{at:02}", {"text": text, "label": "a"})
        for at, text in enumerate([*texts(GOOD, 10, 3), *texts(BAD, 10, 4)])
    ]


def run(recipe_of, source, rows, approved=None, **options):
    """The rows after the filter, and what it tells of itself."""
    recipe = recipe_of({"quality": {"fields": ["text"], **options}})
    recipe._source = str(source / "recipe.yaml")
    chain = build_chain(recipe, gold=[], approved=approved)
    return asyncio.run(chain.sift(rows)), chain.facts().get("quality")


def test_rows_like_the_rejected_ones_go(recipe_of, reviewed):
    """The score is the probability of approval, and the model's worth on held-out rows is told."""
    rows, facts = run(
        recipe_of, reviewed, [*rows_of(), Row("99", {"label": "a"})], file="seen.jsonl"
    )
    assert [row.reason for row in rows] == [
        *[None] * 10,
        *["quality:low_quality"] * 10,
        "quality:missing_field",
    ]
    assert min(row.score for row in rows[:10]) > 0.5 > max(row.score for row in rows[10:20])
    assert (facts["approved"], facts["against"]) == (20, "rejected")
    assert facts["auc"]["value"] > 0.95
    assert facts["auc"]["n"] == 40
    assert facts["approved_kept"]["n"] == 20


def test_without_rejected_rows_the_others_stand_in(recipe_of, tmp_path):
    """A file of approved rows alone is enough."""
    write(tmp_path / "good.jsonl", [{"text": text} for text in texts(GOOD, 40, 1)])
    rows, facts = run(recipe_of, tmp_path, rows_of(), file="good.jsonl")
    assert {row.status for row in rows[:10]} == {"accepted"}
    assert sum(row.status == "rejected" for row in rows[10:]) >= 6
    assert facts["auc"]["value"] >= 0.7
    assert facts["against"] == "unreviewed"


def test_decisions_of_the_run_itself_hold(recipe_of, tmp_path):
    """What people said of a row is not overruled, and the model learns from it."""
    rows = [
        Row(f"g{at:02}", {"text": text, "label": "a"}) for at, text in enumerate(texts(GOOD, 30, 5))
    ]
    rows += [
        Row(f"b{at:02}", {"text": text, "label": "a"}) for at, text in enumerate(texts(BAD, 30, 6))
    ]
    approved = {f"g{at:02}": at != 3 for at in range(15)} | {f"b{at:02}": False for at in range(15)}
    found, _ = run(recipe_of, tmp_path, rows, approved=approved)
    by_id = {row.id: row for row in found}
    assert by_id["g03"].reason == "quality:rejected_by_people"
    assert by_id["g20"].status == "accepted"
    assert by_id["b20"].reason == "quality:low_quality"


def test_too_few_decisions(recipe_of, tmp_path):
    """A file with too few is an error; a run without a review yet keeps everything and says so."""
    write(tmp_path / "few.jsonl", [{"text": "one"}])
    with pytest.raises(DataError, match="people approved 1 rows, and 10 are needed"):
        run(recipe_of, tmp_path, rows_of(), file="few.jsonl")
    rows, facts = run(recipe_of, tmp_path, rows_of())
    assert {row.status for row in rows} == {"accepted"}
    assert facts == {"note": "quality looked at no row: people approved 0 rows, and 10 are needed"}
