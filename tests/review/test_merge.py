"""What reviewers said becomes a new version, by a policy and by nothing else."""

import pytest

from distill.review.log import read_log
from distill.review.merge import merge

ENDS = ("accepted", "edited", "rejected", "waiting", "unreviewed")


@pytest.fixture
def reviewed(desk):
    """Three reviewers: agreed, edited by two of three, rejected by all, a tie, one skip."""
    at = desk()
    pack = at.pack()
    edit = ("edit", {"label": "other"})
    at.decide(pack, "ann", {"r0": "accept", "r1": "accept", "r2": "reject", "r3": "accept",
                            "r4": "skip"})  # fmt: skip
    at.decide(
        pack,
        "bob",
        {
            "r0": "accept",
            "r1": edit,
            "r2": ("reject", {}, "unsafe"),
            "r3": ("edit", {"label": "bug"}),
        },
    )
    at.decide(pack, "eve", {"r1": edit})
    return at


def ends(at, policy):
    merged = merge(at.source, read_log(at.folder), policy)
    return {row.id: row.resolution.outcome for row in merged.rows}


def test_consensus_lets_conflicts_wait(reviewed):
    """Only what everybody with a view agrees on goes in."""
    assert ends(reviewed, "consensus") == {
        "r0": "accepted", "r1": "waiting", "r2": "rejected", "r3": "waiting", "r4": "unreviewed",
        "r5": "unreviewed",
    }  # fmt: skip


def test_majority_and_latest(reviewed):
    """More than half decide; in ties the row waits; or the last word counts."""
    assert [ends(reviewed, "majority")[id] for id in ("r1", "r3")] == ["edited", "waiting"]
    assert [ends(reviewed, "latest")[id] for id in ("r1", "r3")] == ["edited", "edited"]


def test_a_merge_is_a_pure_function(reviewed):
    """The same rows, log and policy give the same merge, and the file stays what it was."""
    before = reviewed.path.read_bytes()
    one = merge(reviewed.source, read_log(reviewed.folder), "majority")
    assert one == merge(reviewed.source, read_log(reviewed.folder), "majority")
    assert reviewed.path.read_bytes() == before
    assert sum(one.count(end) for end in ENDS) == 6
    row = next(row for row in one.rows if row.id == "r1")
    assert (row.after["label"], row.before["label"]) == ("other", "bug")
    assert row.resolution.provenance == "majority"
    assert one.diff()["changes"]["label"] == [{"from": "bug", "to": "other", "rows": 1}]
    assert one.diff()["tags"] == {"unsafe": 1}


def test_edits_and_rejects_become_preferences(desk):
    """An edit beats what it replaced; a good answer beats a rejected one to the same input."""
    rows = [{"id": id, "text": text, "label": label} for id, text, label in (
        ("a", "one", "x"), ("b", "two", "y"), ("c", "two", "z"), ("d", "three", "x"))]  # fmt: skip
    at = desk(rows)
    at.decide(at.pack(), "ann", {"a": ("edit", {"label": "y"}), "b": "accept", "c": "reject",
                                 "d": "reject"})  # fmt: skip
    pairs = merge(at.source, read_log(at.folder), "consensus").pairs
    assert [(pair.id, pair.chosen, pair.rejected) for pair in pairs] == [
        ("a", {"label": "y"}, {"label": "x"}), ("c", {"label": "y"}, {"label": "z"})
    ]  # fmt: skip


def test_the_last_word_of_an_adjudicator(reviewed):
    """The queue has the conflicts, the worst first; what is decided there beats every policy."""
    from distill.review.adjudicate import adjudication_pack, queue
    from distill.review.pack import write_pack

    conflicts = queue(reviewed.source, read_log(reviewed.folder))
    assert [conflict.row_id for conflict in conflicts] == ["r3", "r1"]
    assert conflicts[0].agreement == 0
    pack = adjudication_pack(reviewed.source, conflicts, "2026-01-03T00:00:00Z")
    assert "bob: edit, label = bug" in pack.rows[0].show["reviewers_said"]
    write_pack(reviewed.folder, pack)
    plan = reviewed.decide(pack, "zoe", {"r1": "accept", "r3": ("reject", {}, "guideline_gap")})
    assert plan.rows["applied"] == ["r3", "r1"]
    assert ends(reviewed, "consensus")["r1"] == "accepted"
    assert ends(reviewed, "latest")["r3"] == "rejected"
    assert queue(reviewed.source, read_log(reviewed.folder)) == []
    assert reviewed.decide(pack, "zoe", {"r1": "accept"}).rows["unchanged"] == ["r1"]


def test_blind_answers_never_train(desk):
    """What was answered blind makes gold, not training rows; gold rows leave the dataset."""
    at = desk()
    at.decide(at.pack(kind="gold"), "ann", {"r0": ("edit", {"label": "other"})})
    merged = merge(at.source, read_log(at.folder), "consensus", gold={"r5"})
    assert {row.resolution.outcome for row in merged.rows} == {"unreviewed"}
    assert merged.held_back == ("r5",)
    assert len(merged.rows) == 5


@pytest.mark.parametrize(
    ("record", "edits", "after"),
    [
        (
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}],
             "fields": {"text": "q", "label": "a"}},
            {"answer": "b"},
            {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}],
             "fields": {"text": "q", "label": "b"}},
        ),
        (
            {"prompt": [{"role": "user", "content": "q"}],
             "chosen": [{"role": "assistant", "content": "a"}],
             "rejected": [{"role": "assistant", "content": "c"}]},
            {"chosen": "b"},
            {"prompt": [{"role": "user", "content": "q"}],
             "chosen": [{"role": "assistant", "content": "b"}],
             "rejected": [{"role": "assistant", "content": "c"}]},
        ),
    ],
    ids=["messages", "preference"],
)  # fmt: skip
def test_rows_are_put_together_again(desk, record, edits, after):
    """A correction of a shown answer lands in the turns that it was shown from."""
    found = desk([{"id": "r", **record}]).found
    assert "q" in found.source.rows["r"].values() or found.source.rows["r"]["prompt"] == "q"
    assert found.rebuild(found.records["r"], edits) == {"id": "r", **after}
