"""Which rows are chosen, why, and with what chance."""

from collections import Counter

import pytest

from distill.errors import UsageError
from distill.review.choose import assign, choose_rows
from distill.review.doubt import Doubt, Doubtable, find_doubts
from distill.rows.row import Verdict

IDS = [f"r{at}" for at in range(200)]
DOUBTS = {f"r{at}": [Doubt("vote_split:label", at / 200)] for at in range(0, 200, 4)}


@pytest.mark.parametrize(("how", "random"), [("random", 40), ("mixed", 20), ("doubtful", 8)])
def test_a_random_part_always_stays(how, random):
    """Every way of choosing has its fair sample, and fills all places."""
    chosen = choose_rows(IDS, DOUBTS, how, 40, seed=1)
    assert len({row.id for row in chosen}) == 40
    assert sum("random" in row.why for row in chosen) == random
    sure = sorted(row.id for row in chosen if row.p_incl == 1)
    ranked = sorted(DOUBTS, key=lambda id: -DOUBTS[id][0].weight)
    assert sure == sorted(ranked[: 40 - random])
    assert chosen == choose_rows(IDS, DOUBTS, how, 40, seed=1)
    assert chosen != choose_rows(IDS, DOUBTS, how, 40, seed=2)


def test_the_chance_is_the_share_over_many_draws():
    """p_incl is how often a row gets in."""
    seen = Counter()
    for seed in range(400):
        for row in choose_rows(IDS[:40], DOUBTS, "mixed", 10, seed):
            seen[row.id] += 1
            if row.id == "r1":
                assert row.p_incl == pytest.approx(5 / 35)
    assert seen["r36"] == 400
    assert seen["r1"] / 400 == pytest.approx(5 / 35, abs=0.06)


def test_all_rows_are_a_fair_sample():
    """Who takes everything has an error rate of everything."""
    assert all(row.why[0] == "random" and row.p_incl == 1 for row in choose_rows(
        IDS, DOUBTS, "doubtful", None, 0))  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "verdicts", "why"),
    [
        ({"label_votes": {"a": 2, "b": 1}}, (), "vote_split:label"),
        ({"order_ab": "a", "order_ba": "b"}, (), "swap_flip"),
        ({"consistent": False}, (), "swap_flip"),
        ({"judge_one": "yes", "judge_two": "no"}, (), "judges_differ"),
        (
            {},
            (Verdict("judge", True, None, 5.0), Verdict("judge_2", True, None, 2.0)),
            "judges_differ",
        ),
        ({}, (Verdict("length", True, None, 5.2),), "near_miss:length"),
        ({"label_noise": 0.1}, (), "label_noise"),
        ({}, (Verdict("label_noise", True, None, 0.2),), "label_noise"),
        ({"failure_tags": ["dates"]}, (), "tag:dates"),
        ({"label_finish": "length"}, (), "cut_off:label"),
        ({"label": "rare"}, (), "rare:label"),
    ],
)
def test_what_makes_a_row_doubtful(fields, verdicts, why):
    """Each signal that a run has paid for is a reason, and calm rows have none."""
    calm = [
        Doubtable(f"c{at}", {"label": "ab"[at % 2], "label_votes": {"a": 3}, "consistent": True},
                  (Verdict("length", True, None, 50.0),))
        for at in range(20)
    ]  # fmt: skip
    rows = [Doubtable("x", {"label": "a", **fields}, verdicts), *calm]
    found = find_doubts(rows, outputs=["label"], thresholds={"length": 5.0})
    assert [doubt.why for doubt in found["x"]] == [why]
    assert set(found) == {"x"}


def test_each_row_goes_to_as_many_reviewers_as_asked():
    """Overlap is exact and shares are even."""
    given = assign(IDS, ["ann", "bob", "eve"], 2, seed=0)
    assert set(Counter(id for ids in given.values() for id in ids).values()) == {2}
    assert max(map(len, given.values())) - min(map(len, given.values())) <= 1


def test_packs_made_one_after_the_other_overlap(desk):
    """With overlap 2 the second reviewer gets the first one's rows, the third gets others."""
    at = desk()
    first = at.pack(reviewers=["ann"], overlap=2, rows=2)
    second = at.pack(reviewers=["bob"], overlap=2, rows=2)
    third = at.pack(reviewers=["eve"], overlap=2, rows=4)
    ids = [{row.row_id for row in pack.rows} for pack in (first, second, third)]
    assert ids[0] == ids[1]
    assert not ids[0] & ids[2]
    assert len({first.pack_id, second.pack_id, third.pack_id}) == 3
    at.pack(reviewers=["eva"], overlap=2)
    with pytest.raises(UsageError, match="no row is left"):
        at.pack(reviewers=["pat"], overlap=1)
