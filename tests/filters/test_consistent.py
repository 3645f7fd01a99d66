"""consistent."""

import asyncio

from distill.filters.chain import build_chain
from distill.rows.row import Row

LONG = "my card was charged twice for the same order and nobody answers my many mails about it"


def test_the_minority_goes_and_a_tie_goes_whole(sift):
    """Equal inputs after normalising; the score is the share of like inputs with the label."""
    rows = sift(
        "consistent",
        {"text": "Where is it?", "label": "a"},
        {"text": "where is it", "label": "a"},
        {"text": "WHERE IS IT", "label": "b"},
        {"text": "a tie", "label": "a"},
        {"text": "A tie!", "label": "b"},
        {"text": "alone", "label": "b"},
        {"text": "no label"},
    )
    assert [row.reason for row in rows] == [
        None,
        None,
        "consistent:contradiction",
        "consistent:contradiction",
        "consistent:contradiction",
        None,
        "consistent:missing_field",
    ]
    assert [row.score for row in rows[2:4]] == [1 / 3, 0.5]


def test_nearly_the_same_input(reasons):
    """One changed word of many is the same input where the similarity allows it."""
    rows = ({"text": LONG, "label": "a"}, {"text": LONG.replace("it", "this"), "label": "b"})
    gone = ["consistent:contradiction"] * 2
    assert reasons({"consistent": {"similarity": 0.7}}, *rows) == gone
    assert reasons({"consistent": {"similarity": 1.0}}, *rows) == [None, None]


def test_earlier_rounds_count(recipe_of):
    """A later row that contradicts what was kept before goes; what was kept stays."""
    chain = build_chain(recipe_of("consistent"), gold=[])
    first = [Row("a", {"text": LONG, "label": "a"}), Row("b", {"text": LONG, "label": "a"})]
    asyncio.run(chain.sift(first))
    late = asyncio.run(chain.sift([Row("c", {"text": LONG, "label": "b"})]))
    assert late[0].reason == "consistent:contradiction"
