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

    `rows` are those repeats: without them each cluster has one row left.
    """
    if not view.has_text:
        return None
    plain = view.content_words.plain
    found = place.near_clusters(view.content_words, view.contents, SIMILARITY)
    found.sort(key=lambda places: (-len(places), places))
    exact = sum(len(places) - len({plain[at] for at in places}) for places in found)
    repeats = [at for places in found for at in places[1:]]
    return {
        "exact": exact,
        "near": len(repeats) - exact,
        "clusters": [_cluster(view, places, at < WITH_EXAMPLES) for at, places in enumerate(found)],
        "rows": [view.ids[at] for at in repeats],
        "similarity": SIMILARITY,
    }


def _cluster(view: View, places: list[int], with_examples: bool) -> dict[str, Any]:
    plain = view.content_words.plain
    cluster: dict[str, Any] = {
        "rows": [view.ids[at] for at in places],
        "size": len(places),
        "exact": len({plain[at] for at in places}) == 1,
        "splits": sorted({view.items[at].split for at in places}),
    }
    if with_examples:
        different = dict.fromkeys(view.contents[at] for at in places)
        cluster["examples"] = [text[:SHOWN_TEXT] for text in list(different)[:EXAMPLES]]
    return cluster
