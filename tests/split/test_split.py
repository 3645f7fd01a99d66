"""The split keeps together what belongs together."""

import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from distill.recipe.schema import Split
from distill.rows.row import Row
from distill.split.split import group_rows, split_rows


def rows_of(values: list[dict[str, object]]) -> list[Row]:
    return [Row(f"{at:04}", value) for at, value in enumerate(values)]


ALONE = Split(keep_together=[])


def test_shares_are_exact_where_no_rows_belong_together():
    """100 single rows at 0.9 and 0.1 give 90 and 10, whatever the order of the rows."""
    rows = rows_of([{"text": f"row {at}"} for at in range(100)])
    parts = split_rows(rows, ALONE, 7, "text")
    assert {name: len(part) for name, part in parts.items()} == {"train": 90, "val": 10}
    shuffled = random.Random(1).sample(rows, len(rows))
    assert split_rows(shuffled, ALONE, 7, "text") == parts
    assert split_rows(rows, ALONE, 8, "text") != parts


def test_near_duplicates_stay_on_one_side():
    """Rows that differ by a word of many stand in the same part."""
    words = [f"w{at}" for at in range(30)]
    base = [" ".join(random.Random(at).sample(words, 20)) for at in range(30)]
    rows = rows_of(
        [{"text": f"{text} {tail}"} for text in base for tail in ("one", "two", "three")]
    )
    parts = split_rows(rows, Split(), 1, "text")
    assert len(parts["val"]) == 9
    sides = Counter(row.fields["text"].rsplit(" ", 1)[0] for row in parts["val"])
    assert set(sides.values()) == {3}


def test_seeds_and_named_fields_group():
    """`seed` reads FIELD ending in seed_id and the named ones; another word is a field's value."""
    rows = rows_of(
        [
            {"seed_id": "a", "author": "x"},
            {"seed_id": "a", "author": "y"},
            {"parent_id": "a", "author": "y"},
            {"author": None},
            {"author": None},
        ]
    )

    def sizes(keep: list[str], *more: str) -> list[int]:
        return [len(group) for group in group_rows(rows, keep, "text", more)]

    assert sizes(["seed"]) == [2, 1, 1, 1]
    assert sizes(["seed"], "parent_id") == [3, 1, 1]
    assert sizes(["author"]) == [1, 2, 1, 1]
    assert sizes(["seed", "author"]) == [3, 1, 1]


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=60),
    seed=st.integers(0, 5),
    val=st.sampled_from([0.0, 0.1, 0.25, 0.5]),
)
def test_no_group_straddles_and_no_row_is_lost(values, seed, val):
    """Every row is in one part, every group on one side, and val is as near as groups allow."""
    rows = rows_of([{"seed_id": a, "topic": b, "text": ""} for a, b in values])
    spec = Split(train=1 - val, val=val, keep_together=["seed", "topic"])
    parts = split_rows(rows, spec, seed, "text")
    assert sorted(row.id for part in parts.values() for row in part) == [row.id for row in rows]
    for field in ("seed_id", "topic"):
        sides = [{row.fields[field] for row in parts[name]} for name in ("train", "val")]
        assert not sides[0] & sides[1]
    sizes = [len(group) for group in group_rows(rows, spec.keep_together, "text")]
    if val == 0 or len(sizes) < 2:
        assert not parts["val"]
        return
    sums = {0}
    for size in sizes:
        sums |= {total + size for total in sums}
    target = round(val * len(rows))
    best = min(abs(total - target) for total in sums if 0 < total < len(rows))
    assert abs(len(parts["val"]) - target) == best


def test_val_has_every_label_by_its_share():
    """With a label field each label stands in val as often as in the whole."""
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    rows = rows_of([{"label": label} for label in labels])
    parts = split_rows(rows, ALONE, 3, "text", label_field="label")
    assert Counter(row.fields["label"] for row in parts["val"]) == {"a": 6, "b": 3, "c": 1}


def test_one_row_goes_to_train_and_two_are_parted():
    """Val holds at least one row where there are two groups, and train is never empty."""
    rows = rows_of([{"text": "x"}, {"text": "y"}])
    assert [len(part) for part in split_rows(rows[:1], ALONE, 1, "text").values()] == [1, 0]
    assert [len(part) for part in split_rows(rows, ALONE, 1, "text").values()] == [1, 1]
    assert split_rows([], ALONE, 1, "text") == {"train": [], "val": []}


def test_whole_values_are_held_out_beside_the_share():
    """Of five rubrics one lies in val alone; of the other rows val has its share."""
    rows = rows_of([{"text": f"t {at}", "rubric": f"r{at % 5}"} for at in range(100)])
    spec = Split(keep_together=[], hold_out=["rubric"])
    parts = split_rows(rows, spec, 3, "text")
    seen = {row.fields["rubric"] for row in parts["train"]}
    unseen = Counter(
        row.fields["rubric"] for row in parts["val"] if row.fields["rubric"] not in seen
    )
    assert list(unseen.values()) == [20]
    assert len(parts["val"]) == 20 + 8
    shuffled = random.Random(1).sample(rows, len(rows))
    assert split_rows(shuffled, spec, 3, "text") == parts


def test_two_values_are_too_few_to_hold_one_out():
    """Train would see one rubric only."""
    rows = rows_of([{"text": f"t {at}", "rubric": f"r{at % 2}"} for at in range(40)])
    parts = split_rows(rows, Split(keep_together=[], hold_out=["rubric"]), 3, "text")
    assert len(parts["val"]) == 4
