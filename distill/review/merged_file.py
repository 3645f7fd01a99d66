"""review/merged.json: what the newest merge made of every reviewed row, for whoever goes on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.review.merge import Merged
from distill.rows.atomic import atomic_file
from distill.rows.row import digest

NAME = "merged.json"


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one reviewed row."""

    content_hash: str
    """Of the row that was reviewed: another row of that id is not meant."""
    outcome: str
    edits: Mapping[str, Any]


def write_merged(folder: Path, merged: Merged, about: Mapping[str, Any]) -> None:
    """Writes the file; `about` holds version, parent and time."""
    rows = {
        row.id: {
            "content_hash": row.content_hash,
            "outcome": row.resolution.outcome,
            "edits": dict(row.resolution.edits),
            "provenance": row.resolution.provenance,
            "reviewers": list(row.resolution.reviewers),
            "tags": list(row.resolution.tags),
        }
        for row in merged.rows
        if row.resolution.outcome != "unreviewed"
    }
    whole = {
        **about,
        "policy": merged.policy,
        "log_hash": merged.log_hash,
        "counts": merged.counts(),
        "diff": merged.diff(),
        "held_back": list(merged.held_back),
        "rows": rows,
    }
    with atomic_file(folder / NAME) as file:
        json.dump(whole, file, ensure_ascii=False, allow_nan=False, indent=1)
        file.write("\n")


def read_merged(folder: Path) -> Mapping[str, Any] | None:
    """The file, None where nothing has been merged.

    Raises: DataError when it is damaged.
    """
    path = folder / NAME
    try:
        found = json.loads(path.read_text("utf-8"))
        found["rows"], found["held_back"]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as exc:
        problem = Problem("not what was merged here", file=str(path), fix="Merge again.")
        raise DataError(str(problem), [problem]) from exc
    return dict(found)


def decided(merged: Mapping[str, Any]) -> dict[str, Decided]:
    """Row id -> what became of it."""
    return {
        id: Decided(row["content_hash"], row["outcome"], row["edits"])
        for id, row in merged["rows"].items()
    }


def state_of(folder: Path) -> str | None:
    """Hash of what was decided, None where nothing has been merged."""
    merged = read_merged(folder)
    return digest([merged["rows"], merged["held_back"]]) if merged else None
