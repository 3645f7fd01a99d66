"""duplicate."""

import asyncio

from distill.filters.chain import build_chain
from distill.rows.row import Row


def test_the_first_copy_stays_over_rounds(recipe_of):
    """Copies are found after normalising, in this round and in later ones."""
    chain = build_chain(recipe_of("duplicate"), gold=[])
    first = asyncio.run(
        chain.sift([Row("b", {"text": "Hello, you"}), Row("c", {"text": "hello you!"})])
    )
    second = asyncio.run(chain.sift([Row("a", {"text": "HELLO YOU"}), Row("d", {"text": "bye"})]))
    assert [row.status for row in first + second] == [
        "accepted",
        "rejected",
        "rejected",
        "accepted",
    ]
