"""The same figures for every part of the data: one table per column with few values."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from distill.inspect.texts import label_of
from distill.inspect.view import View

MOST_VALUES = 20
LEAST_SHARE = 0.5
"""Share of rows that must have a value."""
MOST_COLUMNS = 8


def measure_slices(
    view: View, marked: Mapping[str, Collection[str]], taken: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """Column -> one entry per value: {value, rows, share, words, labels, KIND: share}.

    Args:
        view: The rows.
        marked: Kind of fault -> ids of its rows ("suspected label errors", "disputed").
        taken: Columns that are something else already.
    """
    found = {}
    for name in slice_columns(view, taken):
        groups: dict[str, list[int]] = {}
        for at, item in enumerate(view.items):
            groups.setdefault(label_of(item.fields.get(name)) or "(none)", []).append(at)
        found[name] = [
            _slice(view, value, places, marked)
            for value, places in sorted(groups.items(), key=lambda g: (-len(g[1]), g[0]))
        ]
    if len(view.splits) > 1:
        found["split"] = [_slice(view, name, p, marked) for name, p in view.splits.items()]
    labels = view.labels
    if labels is not None and 2 <= len(set(labels)) <= 200 and view.columns.output:
        by_label: dict[str, list[int]] = {}
        for at, label in enumerate(labels):
            by_label.setdefault(label or "(none)", []).append(at)
        found[view.columns.output] = [
            _slice(view, value, places, marked)
            for value, places in sorted(by_label.items(), key=lambda g: (-len(g[1]), g[0]))
        ]
    return found


def slice_columns(view: View, taken: Collection[str]) -> list[str]:
    """Columns with 2 to MOST_VALUES different short values that most rows have."""
    columns = view.columns
    used = {
        columns.input, columns.output, columns.chosen, columns.rejected, columns.messages,
        "split", *columns.context, *taken, *(n for names in columns.raters.values() for n in names),
    }  # fmt: skip
    names = dict.fromkeys(name for item in view.items for name in item.fields)
    found = []
    for name in names:
        if name in used:
            continue
        values = [item.fields.get(name) for item in view.items]
        if any(isinstance(value, list | dict) for value in values[:100]):
            continue
        labels = [label for label in map(label_of, values) if label is not None]
        different = set(labels)
        short = all(len(label) <= 40 for label in different)
        enough = len(labels) >= LEAST_SHARE * len(values) and len(labels) >= 2 * len(different)
        if 2 <= len(different) <= MOST_VALUES and short and enough:
            found.append(name)
    return found[:MOST_COLUMNS]


def _slice(
    view: View, value: str, places: Sequence[int], marked: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    ids = {view.ids[at] for at in places}
    entry: dict[str, Any] = {
        "value": value,
        "rows": len(places),
        "share": len(places) / len(view),
        "words": float(view.words.counts[list(places)].mean()) if view.has_text else None,
    }
    if view.labels is not None:
        counts = Counter(view.labels[at] for at in places if view.labels[at] is not None)
        top = counts.most_common(1)
        entry["labels"] = len(counts)
        entry["majority"] = top[0][0] if top else None
        entry["majority_share"] = top[0][1] / sum(counts.values()) if top else None
    for kind, rows in marked.items():
        entry[kind] = len(ids.intersection(rows)) / len(places)
    return entry
