"""JSONL: one row a line, lossless; also what the page and the HTML pack give back."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from distill.review.formats.columns import IDS, NEW
from distill.review.incoming import FileRead, Incoming
from distill.review.pack import Pack, PackRow
from distill.rows.atomic import atomic_file
from distill.rows.json_values import BadValue, parse_json
from distill.rows.readers import read_utf8

UNDECIDED: Mapping[str, Any] = {
    "decision": None, "edits": {}, "labels": {}, "tags": [], "comment": "", "confidence": None,
    "reviewer": "", "at": None, "seconds": None, "saw_suggestion": True, "order": [],
}  # fmt: skip


def write(pack: Pack, path: Path) -> list[str]:
    """Writes the rows with an empty review each."""
    schema_hash = pack.schema.hash
    with atomic_file(path) as file:
        for row in pack.rows:
            record = line_of(pack, row, schema_hash)
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    return []


def line_of(pack: Pack, row: PackRow, schema_hash: str) -> dict[str, Any]:
    """A row of the canonical file."""
    review = {
        **UNDECIDED,
        "reviewer": pack.reviewer or "",
        "saw_suggestion": pack.kind != "gold",
    }
    return {
        "v": 1,
        "pack_id": pack.pack_id,
        "schema_hash": schema_hash,
        "kind": pack.kind,
        **row.as_dict(),
        "review": review,
    }


def read_lines(path: Path) -> list[tuple[int, Any, str | None]]:
    """Line number, value and what is wrong of every line with something on it.

    A line that is no JSON is one bad row, not a bad file.
    """
    found: list[tuple[int, Any, str | None]] = []
    for line, text in enumerate(read_utf8(path).split("\n"), 1):
        if not text.strip():
            continue
        try:
            found.append((line, parse_json(text), None))
        except BadValue as exc:
            found.append((line, None, str(exc)))
    return found


def read(lines: Iterable[tuple[int, Any, str | None]]) -> FileRead:
    """The decisions of a JSONL file, of the lines that `read_lines` gives."""
    rows = [
        Incoming("", line=line, fault=fault) if fault else incoming(value, line)
        for line, value, fault in lines
    ]
    return FileRead("jsonl", rows, {})


def incoming(value: Any, line: int | None) -> Incoming:
    """The decision in a record: nested as `line_of` writes it, or flat with the CSV's columns."""
    if not isinstance(value, dict) or "row_id" not in value:
        return Incoming("", line=line, fault="not a row of a review: it has no row_id")
    review = value.get("review")
    given: Mapping[str, Any] = review if isinstance(review, dict) else value
    edits = {**_mapping(given.get("labels")), **_mapping(given.get("edits"))}
    if given is value:
        edits |= {k[len(NEW) :]: v for k, v in value.items() if k.startswith(NEW) and v is not None}
    ids = {name: _text(value.get(name)) for name in IDS}
    return Incoming(
        row_id=ids["row_id"] or "",
        pack_id=ids["pack_id"],
        content_hash=ids["content_hash"],
        schema_hash=ids["schema_hash"],
        decision=_text(given.get("decision")),
        edits=edits,
        tags=_tags(given.get("tags")),
        comment=str(given.get("comment") or ""),
        reviewer=_text(given.get("reviewer")),
        at=_text(given.get("at")),
        seconds=number(given.get("seconds")),
        confidence=number(given.get("confidence")),
        order=_texts(given.get("order")),
        shown=_mapping(value.get("show")),
        line=line,
    )


def number(value: Any) -> float | None:
    """The number that a value is, None for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # JSON has integers of any length
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tags(value: Any) -> tuple[str, ...]:
    return _texts(value.split(",") if isinstance(value, str) else value)


def _texts(value: Any) -> tuple[str, ...]:
    items: Iterable[Any] = value if isinstance(value, list | tuple) else ()
    return tuple(text for item in items if (text := str(item).strip()))


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None
