"""How ratings stand in files that nobody described."""

import pytest

from distill.inspect.inspect import Options, inspect_rows
from distill.inspect.layouts import guess_layout


def lines():
    """Three raters say of four documents by two systems whether they are right."""
    where = [(d, s, w) for d in range(4) for s in ("one", "two") for w in range(3)]
    text = "a text of the system {} that was made of document {}"
    return [
        {"doc": d, "system": s, "text": text.format(s, d), "ok": "yn"[(d + w) % 3 == 0],
         "worker_id": f"w{w}", "seconds": 10.5 + d * 7 + w * 3}
        for d, s, w in where
    ]  # fmt: skip


def test_one_line_per_rating():
    """The columns that name a unit, the rater and the label are found; times are neither."""
    rows = lines()
    found = guess_layout(rows, list(rows[0]), set())
    assert (found.unit, found.rater, found.label) == (("doc", "system"), "worker_id", "ok")


@pytest.mark.parametrize(
    "rows",
    [
        [{**row, "worker_id": f"w{at}"} for at, row in enumerate(lines())],
        [{**row, "fluent": "yn"[at % 2]} for at, row in enumerate(lines())],
        [{"text": f"a text {at}", "judge": "ab"[at % 2], "label": "xy"[at % 2]} for at in range(9)],
    ],
    ids=["a rater per line", "two ratings per line", "a unit per line"],
)
def test_what_is_not_plain_is_not_guessed(rows):
    """Raters who rate once, several ratings in a line, units of one line."""
    assert guess_layout(rows, list(rows[0]), set()) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mturk", lambda n: {"yes": n % 3, "no": 2 - n % 3}),
        ("crowd", lambda n: str({"yes": n % 3, "no": 2 - n % 3})),
        ("annotations", lambda n: ["yes", "no"] if n % 2 else ["no", "no"]),
    ],
)
def test_votes(name, value):
    """Counts, their text, and lists whose name speaks of ratings."""
    rows = [{"text": f"a text {n}", name: value(n)} for n in range(12)]
    assert guess_layout(rows, list(rows[0]), set()).votes == name


def test_votes_of_a_teacher_are_no_raters():
    """What a run writes beside a field that was voted on says nothing of people."""
    rows = [{"label": "a", "label_p": 0.5, "label_votes": {"a": n % 3, "b": 2 - n % 3}}
            for n in range(12)]  # fmt: skip
    assert guess_layout(rows, list(rows[0]), set()) is None


def test_votes_of_both_orders_are_no_raters():
    """winner_votes beside the two readings that it counts is a teacher's."""
    rows = [{"winner": "a", "ranked": "A", "ranked_swapped": "B", "winner_votes": votes}
            for votes in ({"a": 2, "b": 0, "tie": 0}, {"a": 1, "b": 0, "tie": 1}) * 5]  # fmt: skip
    assert guess_layout(rows, list(rows[0]), set()) is None
    people = [{"winner": row["winner"], "winner_votes": row["winner_votes"]} for row in rows]
    assert guess_layout(people, list(people[0]), set()).votes == "winner_votes"


def test_dicts_and_lists_that_are_no_votes():
    """Numbers of other kinds, and lists under another name."""
    rows = [{"size": {"w": n * 9, "h": 400 - n}, "tags": ["a", "b"]} for n in range(12)]
    assert guess_layout(rows, list(rows[0]), set()) is None


def test_guesses_are_shown_and_win_nothing_over_flags(items_of):
    """The mapping says what was guessed; objects in a list name their raters."""
    rows = [
        {"text": f"a text {n}", "annotations": [{"annotator": w, "label": w if n % 2 else "k"}
                                                for w in "ab"]}
        for n in range(8)
    ]  # fmt: skip
    found = inspect_rows(items_of(*rows), Options())
    assert found["mapping"]["votes"] == "annotations"
    assert "votes" in found["mapping"]["guessed"]
    rated = found["agreement"]["annotations"]
    assert (rated["raters"], rated["percent"]) == (2, 0.5)
    assert set(rated["cohen"]) == {"a|b"}
    found = inspect_rows(items_of(*lines()), Options(annotators=("ok", "system")))
    assert found["units"] is None
    assert list(found["agreement"]) == ["label"]


def test_columns_that_may_be_raters_are_named(items_of):
    """Three columns of the same labels under names of people: the reader is told of the flag."""
    rows = [
        {"text": f"a text {n}", "ann": "xy"[n % 2], "bob": "xy"[n % 3 == 0], "cy": "xyy"[n % 3]}
        for n in range(30)
    ]
    notes = inspect_rows(items_of(*rows), Options())["notes"]
    assert any("ann, bob, cy" in note and "--annotators" in note for note in notes)
