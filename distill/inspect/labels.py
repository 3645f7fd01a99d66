"""Labels: how often each comes, how even they are, which are spelt in two ways, contradictions."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from distill.inspect.view import View
from distill.measure.duplicates import normalise

SHOWN_TEXT = 300


def measure_labels(view: View) -> dict[str, Any] | None:
    """Counts, entropy and variants, or None where rows have no label.

    `entropy` is in bits (Shannon 1948), `entropy_normalised` its share of what equal labels give.
    """
    if view.labels is None:
        return None
    known = [label for label in view.labels if label is not None]
    counts = dict(sorted(Counter(known).items(), key=lambda item: (-item[1], item[0])))
    bits = entropy(counts)
    largest = max(counts.values(), default=0)
    by_split = {
        split: dict(Counter(view.labels[at] for at in places if view.labels[at] is not None))
        for split, places in view.splits.items()
    }
    return {
        "field": view.columns.output,
        "counts": counts,
        "missing": len(view.labels) - len(known),
        "entropy": bits,
        "entropy_unit": "bits",
        "entropy_normalised": bits / math.log2(len(counts)) if len(counts) > 1 else None,
        "majority_share": largest / len(known) if known else None,
        "imbalance": largest / min(counts.values()) if counts else None,
        "by_split": by_split,
        "variants": variants(counts),
        "unseen": _unseen(by_split),
    }


def entropy(counts: Mapping[str, int]) -> float:
    """Shannon entropy of counts, in bits."""
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values() if n) + 0.0


def variants(counts: Mapping[str, int]) -> list[dict[str, int]]:
    """Groups of labels that differ in case, white space or punctuation only."""
    groups: dict[str, dict[str, int]] = {}
    for label, count in counts.items():
        groups.setdefault(normalise(label.replace("_", " ").replace("-", " ")), {})[label] = count
    return [group for group in groups.values() if len(group) > 1]


def contradictions(view: View) -> list[dict[str, Any]]:
    """Groups of rows with the same input (after normalising) and different labels."""
    if view.labels is None or not any(view.inputs):
        return []
    groups: dict[str, list[int]] = {}
    for at, (plain, label) in enumerate(zip(view.words.plain, view.labels, strict=True)):
        if plain and label is not None:
            groups.setdefault(plain, []).append(at)
    found = []
    for places in groups.values():
        labels = Counter(str(view.labels[at]) for at in places)
        if len(labels) > 1:
            found.append(
                {
                    "input": view.inputs[places[0]][:SHOWN_TEXT],
                    "labels": dict(labels),
                    "rows": [view.ids[at] for at in places],
                }
            )
    return sorted(found, key=lambda group: (-len(group["rows"]), group["rows"]))


def _unseen(by_split: Mapping[str, Mapping[Any, int]]) -> dict[str, Sequence[str]]:
    """Split -> labels that it has and train has not."""
    if "train" not in by_split:
        return {}
    known = by_split["train"]
    unseen = {
        split: sorted(label for label in counts if label not in known)
        for split, counts in by_split.items()
        if split != "train"
    }
    return {split: labels for split, labels in unseen.items() if labels}
