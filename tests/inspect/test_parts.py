"""Labels, faults, formats, ratings and slices, by hand."""

import math

import pytest

from distill.errors import DataError, UsageError
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
