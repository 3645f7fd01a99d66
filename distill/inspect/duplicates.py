"""Rows that say the same: exact copies (after normalising) and near ones, as clusters."""

from typing import Any

from distill.inspect.view import View
from distill.inspect.workplace import Workplace

SIMILARITY = 0.8
"""Jaccard similarity of word 3-grams from which two rows are near-duplicates."""
EXAMPLES = 3
SHOWN_TEXT = 300
WITH_EXAMPLES = 30
"""Clusters that carry examples, the largest first."""


def measure_duplicates(view: View, place: Workplace) -> dict[str, Any] | None:
    """`exact` and `near` count rows that repeat an earlier one; None where there is no text.

    `rows` are those repeats, `exact_rows` and `near_rows` the two kinds of them: without them each
    cluster has one row left.
    """
    if not view.has_text:
        return None
    plain = view.own_words.plain
    found = place.near_clusters(view.own_words, view.own_contents, SIMILARITY)
    found.sort(key=lambda places: (-len(places), places))
    exact: list[int] = []
    near: list[int] = []
    for places in found:
        seen = {plain[places[0]]}
        for at in places[1:]:
            (exact if plain[at] in seen else near).append(at)
            seen.add(plain[at])
    return {
        "exact": len(exact),
        "near": len(near),
        "clusters": [_cluster(view, places, at < WITH_EXAMPLES) for at, places in enumerate(found)],
        "rows": [view.ids[at] for places in found for at in places[1:]],
        "exact_rows": [view.ids[at] for at in exact],
        "near_rows": [view.ids[at] for at in near],
        "similarity": SIMILARITY,
    }


def _cluster(view: View, places: list[int], with_examples: bool) -> dict[str, Any]:
    plain = view.own_words.plain
    cluster: dict[str, Any] = {
        "rows": [view.ids[at] for at in places],
        "size": len(places),
        "exact": len({plain[at] for at in places}) == 1,
        "splits": sorted({view.items[at].split for at in places}),
    }
    if with_examples:
        different = dict.fromkeys(view.own_contents[at] for at in places)
        cluster["examples"] = [text[:SHOWN_TEXT] for text in list(different)[:EXAMPLES]]
    return cluster
