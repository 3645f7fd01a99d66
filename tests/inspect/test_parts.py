"""Labels, faults, formats, ratings and slices, by hand."""

import math

import pytest

from distill.errors import DataError, UsageError
from distill.inspect import fixes, formats
from distill.inspect.inspect import Options, inspect_rows
from distill.inspect.ratings import Layout


@pytest.fixture
def report(items_of):
    """A function that inspects records."""

    def run(*records, **options):
        return inspect_rows(items_of(*records), Options(**options))

    return run


def test_labels_by_hand(report):
    """Counts, entropy in bits, variants of one label, labels that train lacks."""
    rows = [{"text": f"some text {n}", "label": label} for n, label in enumerate("aaaabbbbcC")]
    found = report(*rows, ("test", {"text": "more text", "label": "z"}))["labels"]
    assert found["counts"] == {"a": 4, "b": 4, "C": 1, "c": 1, "z": 1}
    shares = [4 / 11, 4 / 11, 1 / 11, 1 / 11, 1 / 11]
    assert found["entropy"] == pytest.approx(-sum(p * math.log2(p) for p in shares))
    assert found["variants"] == [{"C": 1, "c": 1}]
    assert found["unseen"] == {"test": ["z"]}


def test_contradictions(report):
    """The same input after normalising with two labels is one; ids are given."""
    rows = [{"text": t, "label": x} for t, x in
            (("Go on now", "a"), ("go on, now!", "b"), ("other one", "a"), ("third one", "b"),
             ("other one", "a"), ("fourth one", "b"))]  # fmt: skip
    [found] = report(*rows)["contradictions"]
    assert (found["labels"], found["rows"]) == ({"a": 1, "b": 1}, ["r0", "r1"])


def test_faults_of_answers(items_of):
    """Empty, refused and cut off answers are told apart."""
    good = "This is a whole sentence of more than a dozen words that ends as it should do."
    rows = [{"prompt": f"do the thing {n}", "response": f"{n} {good}"} for n in range(30)]
    rows += [
        {"prompt": "do it again", "response": ""},
        {"prompt": "and again", "response": "No, I will not."},
        {"prompt": "once more", "response": good.removesuffix(" as it should do.")},
        {"prompt": "as JSON", "response": '{"a": 1, "b": [1, 2'},
    ]
    refuses = lambda text: "refusal" if text.startswith("No") else None  # noqa: E731
    found = inspect_rows(items_of(*rows), Options(), refusal=refuses)["faults"]
    assert {kind: entry["rows"] for kind, entry in found.items()} == {
        "empty": ["r30"], "refusal": ["r31"], "truncated": ["r32", "r33"], "boilerplate": [],
    }  # fmt: skip


def test_ends_that_are_none_cut_off(items_of):
    """Lists, series, names and questions may end as they like; sides of a preference are texts."""
    whole = "This is a whole sentence of more than a dozen words that ends as it should do"
    ends = [".", ":\n- milk\n- three more things that people buy on any day of the year",
            ": one, two, three, four", ".\n\nThe End"]  # fmt: skip
    rows = [{"prompt": f"do it {n} {whole}", "chosen": f"{n} {whole}{ends[n % 4]}",
             "rejected": f"{n} {whole[: 60 if n == 5 else 99]}."[: -1 if n == 5 else None]}
            for n in range(24)]  # fmt: skip
    rows[7]["chosen"] = ""
    refuses = lambda text: "refusal" if text.startswith(("3 ", "4 ")) else None  # noqa: E731
    rows[3]["rejected"] = "fine. " + rows[3]["rejected"]
    rows[4]["chosen"] = "fine. " + rows[4]["chosen"]
    found = inspect_rows(items_of(*rows), Options(), refusal=refuses)
    assert {kind: entry["rows"] for kind, entry in found["faults"].items()} == {
        "empty": ["r7"], "refusal": ["r3"], "truncated": ["r5"], "boilerplate": [],
    }  # fmt: skip
    assert set(found["lengths"]) == {"input", "output", "chosen", "rejected"}


def test_habits_of_texts(report):
    """A digit is neither large nor small; few texts have no habits."""
    rows = [{"question": f"what is it, {n}?", "answer": f"The answer is {n}."} for n in range(40)]
    rows[3]["answer"], rows[4]["answer"] = "4 and 5 make it.", "it is small."
    feature = report(*rows)["format"]["features"]["begins with a capital"]
    assert (feature["rule"], feature["rows"]) == ("with", ["r4"])
    shown = [fix["what"] for fix in report(*rows)["fix_first"] if fix["kind"] == "format"]
    assert "texts without a capital at the beginning" in shown
    assert report(*rows[:9])["format"]["features"]["begins with a capital"]["rule"] is None


def test_counts_of_copies_agree(report):
    """What to fix first counts copies as the part on duplicates does, in mixed clusters too."""
    text = "these are a good many words that stand in one row after another of this set"
    rows = [{"text": t} for t in (f"{text} here", f"{text} now", f"{text} here", "quite another")]
    found = report(*rows)
    counts = {fix["kind"]: fix["rows"] for fix in found["fix_first"]}
    assert (found["duplicates"]["exact"], found["duplicates"]["near"]) == (1, 1)
    assert (counts["exact_duplicates"], counts["near_duplicates"]) == (["r2"], ["r1"])


def test_questions_on_one_text_are_no_copies(report):
    """A context that rows share does not make them near-duplicates."""
    context = "a long text about a river and the towns that stand along it since olden times " * 4
    asked = ["who built the bridge", "when was it finished", "how long is the river",
             "which town is largest", "who built the bridge"]  # fmt: skip
    rows = [{"question": q, "context": context, "answer": "one"} for q in asked]
    found = report(*rows)["duplicates"]
    assert (found["exact"], found["near"]) == (1, 0)


def test_personal_data_is_masked(report):
    """The example shows where it stands, not what it is."""
    rows = [{"text": "write to ann@mail.example today"}, {"text": "nothing in here"}]
    found = report(*rows)["pii"]["email"]
    assert (found["count"], found["rows"]) == (1, ["r0"])
    assert "ann" not in found["example"]


LONG = [
    {"doc": d, "who": w, "says": s, "text": f"text of {d} here"}
    for d, w, s in [("1", "p", "y"), ("1", "q", "y"), ("2", "p", "n"), ("2", "q", "NULL"),
                    ("3", "p", "n"), ("3", "q", "y"), ("3", "p", "y")]
]  # fmt: skip


def test_one_line_per_rating(report):
    """Units join their lines; NULL is missing, a second rating by one rater is left out."""
    found = report(*LONG, layout=Layout(("doc",), "who", "says"))
    rated = found["agreement"]["says"]
    assert (found["rows"], found["units"], rated["units_used"]) == (7, 3, 2)
    assert (rated["ratings"], rated["missing"], rated["repeated"]) == (5, 1, 1)
    assert rated["disputed"][0]["unit"] == "3"
    assert rated["disputed"][0]["rows"] == ["r4", "r5", "r6"]
    assert found["duplicates"]["exact"] == 0


def test_flags_that_do_not_fit(report):
    """Half of the three flags, or a column that is not there, is a usage error."""
    with pytest.raises(UsageError, match="--rater"):
        report(*LONG, layout=Layout(("doc",), None, "says"))
    with pytest.raises(UsageError, match="nosuch"):
        report(*LONG, layout=Layout(("nosuch",), "who", "says"))


def test_vote_counts(report):
    """Counts may be text; raters are nobody, so there is neither Cohen nor Dawid-Skene."""
    rows = [{"votes": {"a": "3", "b": 0}}, {"votes": "{'a': 1, 'b': 2}"}, {"votes": None}]
    found = report(*rows, layout=Layout(votes="votes"))["agreement"]["votes"]
    assert (found["raters"], found["units"], found["units_used"]) == (3, 3, 2)
    assert found["percent"] == pytest.approx((1 + 1 / 3) / 2)
    assert found["cohen"] == {}
    assert "no rater" in found["dawid_skene"]["why"]
    with pytest.raises(DataError, match="r0"):
        report({"votes": {"a": -1}}, layout=Layout(votes="votes"))


def test_agreement_that_is_undefined_says_why(report):
    """All ratings the same: no kappa, and the reason."""
    rows = [{"annotator1": "x", "annotator2": "x", "text": f"a text {n}"} for n in range(5)]
    found = report(*rows)["agreement"]["label"]
    assert found["alpha"]["value"] is None
    assert "the same" in found["alpha"]["why"]
    assert found["percent"] == 1.0


def test_slices_and_fixes(report):
    """Columns with few values are tables; failures are ranked, ids are those of the rows."""
    rows = [
        {"text": f"a text about thing {n} and {n * 7}", "label": "ab"[n % 2], "site": "xyz"[n % 3]}
        for n in range(30)
    ]
    rows += [rows[0], ("test", rows[1])]
    found = report(*rows)
    site = found["slices"]["site"]
    assert [(entry["value"], entry["rows"]) for entry in site] == [("x", 11), ("y", 11), ("z", 10)]
    first = found["fix_first"][0]
    assert (first["kind"], first["count"], first["rows"]) == ("leakage", 1, ["r1"])
    ids = {f"r{n}" for n in range(32)}
    assert all(ids >= set(fix["rows"]) for fix in found["fix_first"])


def test_every_habit_and_fault_has_words():
    """What is measured can be said."""
    assert set(fixes.HABITS) == set(formats.FEATURES)
    assert set(fixes.BROKEN) == set(formats.FAULTS)
