"""The ids of a data file's rows: stable names, so that a report and a review pack mean one row."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from distill.rows.row import digest

ID_COLUMNS = ("id", "row_id")


def row_ids(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """One id per record, all different.

    The first of ID_COLUMNS whose values are texts or whole numbers, all there and all different,
    is the id. Otherwise it is 16 hex characters of the record's content, so that it stays when rows
    are added or moved; of equal records the second gets "-2" behind it, the third "-3".
    """
    for column in ID_COLUMNS:
        given = [record.get(column) for record in records]
        ids = [_text(value) for value in given]
        if all(ids) and len(set(ids)) == len(ids):
            return ids
    seen: Counter[str] = Counter()
    found = []
    for record in records:
        name = digest(record)[:16]
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value) if isinstance(value, int) and not isinstance(value, bool) else ""
