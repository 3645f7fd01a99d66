"""near_duplicate."""

import asyncio

from distill.filters.chain import build_chain
from distill.rows.row import Row

TEXT = "my card was charged twice for the same order and nobody answers my mails about it"


def test_the_lower_id_stays_and_the_similarity_is_the_score(sift):
    """A changed word makes a near-duplicate; its score is the exact Jaccard similarity."""
    kept, dropped, other = sift(
        {"near_duplicate": {"similarity": 0.7}},
        {"text": TEXT},
        {"text": TEXT.replace("mails about it", "mails about this")},
        {"text": "something else altogether, at about the same length as the other ones are"},
    )
    assert (kept.status, other.status) == ("accepted", "accepted")
    assert (dropped.reason, dropped.score) == ("near_duplicate", 13 / 15)


def test_the_higher_earlier_score_stays(recipe_of):
    """Of two copies in a round the one with the clearer vote is kept."""
    chain = build_chain(
        recipe_of({"agree": {"field": "label"}}, {"near_duplicate": {"similarity": 0.7}}), gold=[]
    )
    rows = [
        Row("a", {"text": TEXT, "label": "a", "label_votes": {"a": 2, "b": 1}}),
        Row("b", {"text": TEXT + " now", "label": "a", "label_votes": {"a": 3}}),
    ]
    assert [row.status for row in asyncio.run(chain.sift(rows))] == ["rejected", "accepted"]
    late = Row("0", {"text": TEXT, "label": "a", "label_votes": {"a": 3}})
    assert asyncio.run(chain.sift([late]))[0].reason == "near_duplicate"
