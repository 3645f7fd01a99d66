"""Splits rows into train and val so that rows which belong together stay on one side.

Which groups go to val depends on their own ids and the seed, never on the order of the rows.
"""

from collections.abc import Iterable, Mapping, Sequence

from distill.measure.duplicates import clusters
from distill.recipe.schema import Split
from distill.rows.row import Row, canonical_json, digest

TOGETHER = ("duplicates",)
LEAST_VALUES = 3
SIMILARITY = 0.8
"""Rows at least this alike (Jaccard of word 3-grams) are near-duplicates that stay together."""


def split_rows(
    rows: Sequence[Row],
    spec: Split,
    seed: int,
    text_field: str,
    *,
    label_field: str | None = None,
    seed_fields: Sequence[str] = (),
) -> dict[str, list[Row]]:
    """Returns train and val, each sorted by id; val is as near its share as whole groups allow.

    Rows of held-out values come on top of that share.

    Args:
        rows: The accepted rows.
        spec: Shares and what to keep together.
        seed: Of the recipe.
        text_field: What near-duplicates are looked for in.
        label_field: Given: val holds every label's share as well as whole groups allow.
        seed_fields: Fields that name the seed a row grew from, beside those ending in "seed_id".
    """
    val = _unseen(rows, spec, seed)
    groups = sorted(
        group_rows(
            [row for row in rows if row.id not in val],
            TOGETHER if spec.keep_together is None else spec.keep_together,
            text_field,
            seed_fields,
        ),
        key=lambda group: digest([seed, group[0].id]),
    )
    chosen = _choose(groups, spec.val, label_field) if spec.val > 0 and len(groups) > 1 else []
    val |= {row.id for at in chosen for row in groups[at]}
    ordered = sorted(rows, key=lambda row: row.id)
    return {
        "train": [row for row in ordered if row.id not in val],
        "val": [row for row in ordered if row.id in val],
    }


def _unseen(rows: Sequence[Row], spec: Split, seed: int) -> set[str]:
    """Ids of the rows whose value of a held-out field train never sees.

    Val's share of the values, at least one, drawn by their own text and the seed; so many values as
    LEAST_VALUES there must be, that train still sees different ones.
    """
    found: set[str] = set()
    for name in (spec.hold_out or ()) if spec.val > 0 else ():
        holders: dict[str, list[str]] = {}
        for row in rows:
            if row.fields.get(name) is not None:
                holders.setdefault(canonical_json(row.fields[name]), []).append(row.id)
        if len(holders) < LEAST_VALUES:
            continue
        drawn = sorted(holders, key=lambda value: digest([seed, name, value]))
        for value in drawn[: max(1, round(spec.val * len(holders)))]:
            found.update(holders[value])
    return found


def group_rows(
    rows: Sequence[Row],
    keep_together: Iterable[str],
    text_field: str,
    seed_fields: Sequence[str] = (),
) -> list[list[Row]]:
    """Returns the rows in groups that must not be parted, sorted by id inside and outside."""
    root = {row.id: row.id for row in rows}

    def find(id: str) -> str:
        while root[id] != id:
            root[id] = id = root[root[id]]
        return id

    for what in keep_together:
        first: dict[str, str] = {}
        for id, key in _keys(rows, what, text_field, seed_fields):
            low, high = sorted((find(first.setdefault(key, id)), find(id)))
            root[high] = low
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.id):
        groups.setdefault(find(row.id), []).append(row)
    return list(groups.values())


def _keys(
    rows: Sequence[Row], what: str, text_field: str, seed_fields: Sequence[str]
) -> Iterable[tuple[str, str]]:
    """Pairs of row id and key: rows with an equal key belong together."""
    if what == "duplicates":
        texts = {row.id: str(row.fields[text_field]) for row in rows if text_field in row.fields}
        return clusters(texts, SIMILARITY).items()
    if what == "seed":
        return [
            (row.id, canonical_json(value))
            for row in rows
            for name, value in row.fields.items()
            if value is not None and (name.endswith("seed_id") or name in seed_fields)
        ]
    return [
        (row.id, canonical_json(row.fields[what]))
        for row in rows
        if row.fields.get(what) is not None
    ]


def _choose(groups: list[list[Row]], share: float, label_field: str | None) -> list[int]:
    """Indices of the groups for val: at least one, and never all."""
    strata: dict[str, list[int]] = {}
    for at, group in enumerate(groups):
        strata.setdefault(_label(group, label_field), []).append(at)
    chosen: list[int] = []
    owed = 0.0
    for label in sorted(strata):
        sizes = {at: len(groups[at]) for at in strata[label]}
        # What one label could not give, because groups are whole, the next one makes up for.
        owed += share * sum(sizes.values())
        taken = _nearest(sizes, max(0, round(owed)))
        owed -= sum(sizes[at] for at in taken)
        chosen += taken
    if not chosen:
        return [min(range(len(groups)), key=lambda at: len(groups[at]))]
    if len(chosen) == len(groups):
        chosen.remove(max(chosen, key=lambda at: len(groups[at])))
    return chosen


def _label(group: list[Row], label_field: str | None) -> str:
    """The most frequent label of a group."""
    if label_field is None:
        return ""
    labels = [canonical_json(row.fields.get(label_field)) for row in group]
    return max(sorted(set(labels)), key=labels.count)


def _nearest(sizes: Mapping[int, int], target: int) -> list[int]:
    """Groups whose sizes sum as near to the target as any do (subset sum, early groups first)."""
    if target == 0:
        return []
    limit = 2 * target
    reachable = 1
    reached_by: dict[int, int] = {}
    for at, size in sizes.items():
        new = (reachable << size) & ~reachable & ((1 << (limit + 1)) - 1)
        reachable |= new
        while new:
            lowest = new & -new
            reached_by[lowest.bit_length() - 1] = at
            new ^= lowest
        if target in reached_by:
            break
    total = min((0, *reached_by), key=lambda reached: (abs(reached - target), -reached))
    taken = []
    while total:
        # Each sum remembers the group that first reached it, so these indices only go down.
        taken.append(reached_by[total])
        total -= sizes[reached_by[total]]
    return taken
