"""What an import makes of every decision."""

import csv
import json

import pytest

from distill.review.log import read_log
from distill.review.plan import OUTCOMES

ROWS = [
    {"id": f"r{at}", "text": f"ticket {at} about {label}", "label": label}
    for at, label in enumerate(["billing", "bug", "billing", "other", "bug", "bug"])
]


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_twice_is_once(desk):
    """The second import of a file changes nothing."""
    at = desk()
    pack = at.pack()
    said = {"r0": "accept", "r1": ("edit", {"label": "billing"}), "r2": "skip"}
    assert at.decide(pack, "ann", said).rows["applied"] == ["r0", "r1", "r2"]
    before = read_log(at.folder)
    again = at.decide(pack, "ann", said)
    assert again.rows["unchanged"] == ["r0", "r1", "r2"]
    assert read_log(at.folder) == before


def test_a_changed_mind_supersedes_and_another_head_conflicts(desk):
    """The same reviewer's later word counts; another one's differing word is a conflict."""
    at = desk()
    pack = at.pack()
    at.decide(pack, "ann", {"r0": "accept", "r1": "accept", "r2": "accept"})
    assert at.decide(pack, "ann", {"r0": "reject"}).rows["superseded"] == ["r0"]
    said = {"r0": "accept", "r1": "accept", "r2": ("edit", {"label": "bug"}), "r3": "skip"}
    plan = at.decide(pack, "bob", said)
    assert plan.rows["conflict"] == ["r0", "r2"]
    assert plan.rows["applied"] == ["r1", "r3"]
    assert plan.clean
    assert len(read_log(at.folder)) == 8


def test_an_older_file_does_not_undo_a_newer_word(desk):
    """Where files carry times, what was decided earlier does not replace what came later."""
    at = desk()
    pack = at.pack()
    at.decide(pack, "ann", {"r0": "reject"}, at="2026-01-02T10:00:00Z")
    plan = at.decide(pack, "ann", {"r0": "accept"}, at="2026-01-02T10:00:00+02:00")
    assert plan.rows["unchanged"] == ["r0"]
    later = at.decide(pack, "ann", {"r0": "accept"}, at="2026-01-02T13:00:00+02:00")
    assert later.rows["superseded"] == ["r0"]


def test_a_row_that_a_file_holds_twice(desk, fill):
    """Its last decision counts, and importing that file again changes nothing."""
    at = desk()
    path = fill["csv"](at.write(at.pack(), "csv"), lambda row: row.update(decision="accept"))
    with path.open(encoding="utf-8", newline="") as file:
        second = list(csv.reader(file))[1]
    second[second.index("accept")] = "reject"
    with path.open("a", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(second)
    plan = at.take(path, reviewer="ann")
    assert (len(plan.rows["applied"]), plan.rows["superseded"]) == (6, ["r0"])
    assert len(at.take(path, reviewer="ann").rows["unchanged"]) == 7
    assert [r.decision for r in read_log(at.folder) if r.row_id == "r0"] == ["accept", "reject"]


def test_an_old_pack_s_file_does_not_undo_a_later_pack(desk, fill):
    """A table knows no times: what it says again is no news, a mind changed back is."""
    at = desk()
    old, new = at.packs(reviewers=["ann"]), at.packs(reviewers=["ann"], rows=3)
    first = at.write(old[0], "csv", "first.csv")
    fill["csv"](first, lambda row: row.update(decision="accept"))
    second = at.write(new[0], "csv", "second.csv")
    fill["csv"](second, lambda row: row.update(decision="reject"))
    assert len(at.take(first).rows["applied"]) == 6
    assert len(at.take(second).rows["superseded"]) == 3
    assert len(at.take(first).rows["unchanged"]) == 6
    back = at.take(fill["csv"](second, lambda row: row.update(decision="accept")))
    assert len(back.rows["superseded"]) == 3


def test_the_pack_that_sent_a_row_is_found_without_its_id(desk, fill):
    """With the column of packs deleted, hashes tell which export a file came from."""
    at = desk()
    path = at.write(at.pack(), "csv")
    write_rows(at.path, [{**ROWS[0], "text": "changed"}, *ROWS[1:]])
    at.pack()
    plan = at.plan(fill["csv"](path, lambda row: row.update(decision="accept", pack_id="")))
    assert plan.rows["stale"] == ["r0"]
    assert len(plan.rows["applied"]) == 5


@pytest.mark.parametrize("format", ["csv", "xlsx"])
def test_a_space_that_slipped_in_is_no_answer(desk, fill, format):
    """An accepted row with a blank in a cell for corrections is accepted."""
    at = desk()
    path = at.write(at.pack(), format)
    plan = at.plan(fill[format](path, lambda row: row.update(decision="accept", new_label=" ")))
    assert (len(plan.rows["applied"]), plan.problems) == (6, [])


@pytest.mark.parametrize("named", [True, False], ids=["own ids", "ids of content"])
def test_a_changed_source_row_is_stale(desk, fill, named):
    """One changed row is one stale decision: it is kept in the log and never merged."""
    rows = [row if named else {k: v for k, v in row.items() if k != "id"} for row in ROWS]
    at = desk(rows)
    path = at.write(at.pack(), "csv")
    write_rows(at.path, [{**rows[0], "text": "changed"}, *rows[1:]])
    plan = at.take(fill["csv"](path, lambda row: row.update(decision="accept")))
    assert (len(plan.rows["stale"]), len(plan.rows["applied"])) == (1, 5)
    assert plan.clean
    again = at.take(path)
    assert len(again.rows["unchanged"]) == 6


@pytest.mark.parametrize(
    ("column", "value", "outcome"),
    [
        ("row_id", "r9", "tampered"),
        ("content_hash", "0" * 64, "tampered"),
        ("schema_hash", "0" * 64, "tampered"),
        ("pack_id", "other", "unknown"),
        ("decision", "maybe", "invalid"),
        ("decision", "edit", "invalid"),
        ("new_label", "bug", "invalid"),
    ],
)
def test_rows_that_cannot_be_taken(desk, fill, column, value, outcome):
    """Altered ids and hashes, foreign packs, wrong decisions: one row each, the others go in."""
    at = desk()
    path = at.write(at.pack(), "csv")

    def review(row):
        row["decision"] = "accept"
        if row["row_id"] == "r0":
            row[column] = value

    plan = at.plan(fill["csv"](path, review))
    assert len(plan.rows[outcome]) == 1
    assert len(plan.rows["applied"]) == 5
    assert [p["column"] for p in plan.problems] == ["decision" if column == "new_label" else column]
    assert plan.problems[0]["line"] == 2


def test_labels_of_a_closed_list(desk, fill):
    """A label not on the list is invalid; case and spaces are forgiven; numbers stay numbers."""
    at = desk([{"id": str(n), "text": "t", "label": n % 2} for n in range(4)], labels=["0", "1"])
    path = at.write(at.pack(), "csv")

    def review(row):
        row["decision"] = "edit"
        row["new_label"] = {"0": " 1 ", "1": "0.0", "2": "7", "3": "0"}[row["row_id"]]

    plan = at.plan(fill["csv"](path, review))
    assert {r.row_id: r.edits for r in plan.reviews} == {
        "0": {"label": 1}, "1": {"label": 0}, "3": {"label": 0}
    }  # fmt: skip
    assert plan.rows["invalid"] == ["2"]
    assert "none of 0, 1" in plan.problems[0]["what"]


def test_altered_cells_are_counted_and_decisions_taken(desk, fill):
    """What a spreadsheet did to read-only cells is said, and nothing else comes of it."""
    at = desk()
    path = at.write(at.pack(), "csv")

    def review(row):
        row["decision"], row["in_text"] = "accept", row["in_text"].upper()

    plan = at.take(fill["csv"](path, review))
    assert plan.altered_cells == 6
    assert len(plan.rows["applied"]) == 6
    assert at.source.rows["r0"]["text"] == ROWS[0]["text"]


def test_ids_that_a_spreadsheet_took_for_numbers(desk, fill):
    """007 that came back as 7 is known by its content; a wrong number is not."""
    at = desk([{"id": id, "text": id} for id in ("007", "12345678901234567890", "1e5")])
    path = at.write(at.pack(), "csv")
    mangled = {"007": "7", "12345678901234567890": "1,23457E+19", "1e5": "100001"}

    def review(row):
        row["decision"], row["row_id"] = "accept", mangled[row["row_id"]]

    plan = at.plan(fill["csv"](path, review))
    assert plan.rows["applied"] == ["007", "12345678901234567890", "1e5"]
    fill["csv"](path, lambda row: row.update(row_id="8"))
    assert len(at.plan(path).rows["tampered"]) == 3


def test_reviews_without_a_decision(desk, fill):
    """A value that was filled in is an edit, an empty row is not decided yet."""
    at = desk()
    path = at.write(at.pack(), "csv")
    answers = {"r0": "bug", "r1": "bug"}
    plan = at.plan(
        fill["csv"](path, lambda row: row.update(new_label=answers.get(row["row_id"], "")))
    )
    assert {r.row_id: (r.decision, r.edits) for r in plan.reviews} == {
        "r0": ("edit", {"label": "bug"}), "r1": ("accept", {})
    }  # fmt: skip
    assert plan.undecided == 4
    assert set(plan.as_dict(dry_run=True)["counts"]) == set(OUTCOMES)


def test_blind_answers_need_no_difference(desk):
    """In a blind pack the answer is what counts, be it the model's or not."""
    at = desk()
    pack = at.pack(kind="gold")
    assert all("label" not in row.show and not row.suggestion for row in pack.rows)
    said = {"r0": ("edit", {"label": "billing"}), "r1": ("accept", {"label": "other"})}
    plan = at.decide(pack, "ann", {**said, "r2": "accept"})
    assert [(r.decision, r.edits, r.saw_suggestion) for r in plan.reviews] == [
        ("edit", {"label": "billing"}, False), ("edit", {"label": "other"}, False)
    ]  # fmt: skip
    assert plan.rows["invalid"] == ["r2"]
