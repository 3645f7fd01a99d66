"""balance."""

import asyncio

from distill.filters.chain import build_chain
from distill.rows.row import Row


def rows_of(*labels):
    """One row per label."""
    return [{"text": f"t{at}", "label": label} for at, label in enumerate(labels)]


def test_a_cap_per_label(sift):
    """The lower ids of each label stay; the score is the place in the cell."""
    rows = sift({"balance": {"max": 2}}, *rows_of("a", "a", "b", "a"), {"text": "x"})
    assert [row.reason for row in rows] == [
        None,
        None,
        None,
        "balance:over_cap",
        "balance:missing_field",
    ]
    assert rows[3].score == 3


def test_cells_of_attributes_and_ratio(reasons):
    """Cells are combinations of values; a ratio is taken of the smallest cell."""
    cells = [{"label": label, "tone": tone} for label, tone in ("ax", "ax", "ay", "bx", "ax")]
    by_both = reasons({"balance": {"by": ["label", "tone"], "max": 1}}, *cells)
    assert by_both == [None, "balance:over_cap", None, None, "balance:over_cap"]
    by_ratio = reasons({"balance": {"by": "label", "ratio": 2}}, *cells)
    assert by_ratio.count("balance:over_cap") == 2


def test_the_better_stay_and_rounds_count(recipe_of):
    """A higher earlier score goes first; what earlier rounds kept fills the cell."""
    chain = build_chain(recipe_of({"agree": {"field": "label"}}, {"balance": {"max": 1}}), gold=[])
    weak = Row("a", {"text": "x", "label": "a", "label_votes": {"a": 2, "b": 1}})
    clear = Row("b", {"text": "y", "label": "a", "label_votes": {"a": 3}})
    assert [row.status for row in asyncio.run(chain.sift([weak, clear]))] == [
        "rejected",
        "accepted",
    ]
    assert asyncio.run(chain.sift([Row("0", clear.fields)]))[0].reason == "balance:over_cap"
