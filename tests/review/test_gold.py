"""Gold from blind reviews, examples from approved rows, each guarded against the other."""

import pytest

from distill.errors import UsageError
from distill.review.gold import GOLD, SHOTS, make_gold, make_shots, read_registered, register
from distill.review.log import read_log

LONG = "the parcel that I ordered last week has still not come and nobody answers the phone"


def gold(at, **options):
    given = {"policy": "consensus", "reviews": 2, "force": False}
    return make_gold(at.source, read_log(at.folder), **{**given, **options})


def test_gold_needs_blind_reviews(desk):
    """Two blind answers that agree are gold; seen ones only when forced, and marked."""
    at = desk()
    blind, seen = at.pack(kind="gold"), at.pack()
    answers = {"r0": ("edit", {"label": "bug"}), "r1": ("edit", {"label": "bug"})}
    at.decide(seen, "ann", {"r3": "accept", "r4": "accept"})
    with pytest.raises(UsageError, match="no row can be gold"):
        gold(at)
    at.decide(blind, "ann", answers)
    at.decide(blind, "bob", {"r0": ("edit", {"label": "bug"}), "r1": ("edit", {"label": "other"})})
    made = gold(at)
    assert [(row["id"], row["label"], row["saw_suggestion"]) for row in made.rows] == [
        ("r0", "bug", False)
    ]
    assert made.left_out == {"waiting": 1}
    forced = gold(at, force=True, reviews=1)
    assert {row["id"]: row["saw_suggestion"] for row in forced.rows} == {
        "r0": False, "r3": True, "r4": True
    }  # fmt: skip


def test_gold_and_examples_never_meet(desk):
    """A row, its copy and its near-duplicate are left out of the other set."""
    rows = [
        {"id": "a", "text": LONG, "label": "x"},
        {"id": "b", "text": LONG.upper() + "!", "label": "x"},
        {"id": "c", "text": LONG.replace("phone", "phones"), "label": "x"},
        {"id": "d", "text": "something else entirely about a broken lamp", "label": "y"},
        {"id": "e", "text": "something else entirely about a broken lamp", "label": "y"},
    ]
    at = desk(rows)
    at.decide(at.pack(), "ann", {row["id"]: "accept" for row in rows})
    register(at.folder, GOLD, at.source, ["a"])
    shots = make_shots(at.source, read_log(at.folder), policy="consensus", number=8)
    assert [row["id"] for row in shots.rows] == ["d"]
    assert shots.left_out == {
        "in the other set": 2, "near-duplicate of the other set": 1, "like another example": 1
    }  # fmt: skip
    register(at.folder, SHOTS, at.source, ["d"])
    assert set(read_registered(at.folder, SHOTS)) == {"d"}
    blind = at.pack(kind="gold")
    for name in ("ann", "bob"):
        at.decide(blind, name, {id: ("edit", {"label": "x"}) for id in "cde"})
    made = gold(at)
    assert [row["id"] for row in made.rows] == ["c"]
    assert made.left_out == {"in the other set": 2}


def test_corrected_rows_are_the_first_examples(desk):
    """What the teacher got wrong teaches most."""
    at = desk()
    at.decide(at.pack(), "ann", {"r0": "accept", "r3": ("edit", {"label": "bug"}), "r4": "reject"})
    shots = make_shots(at.source, read_log(at.folder), policy="consensus", number=8)
    assert [row["id"] for row in shots.rows] == ["r3", "r0"]
    assert shots.rows[0]["label"] == "bug"
