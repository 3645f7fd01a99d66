"""What a reader finds in a file: decisions as they were written, not yet checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Written = Literal["cell", "text", "value"]
"""How values stand in the file: escaped cells, plain text, or JSON values."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One decision of one reviewer, as a file holds it."""

    row_id: str
    pack_id: str | None = None
    content_hash: str | None = None
    schema_hash: str | None = None
    decision: str | None = None
    edits: Mapping[str, Any] = field(default_factory=dict)
    written: Written = "value"
    tags: tuple[str, ...] = ()
    comment: str = ""
    reviewer: str | None = None
    at: str | None = None
    seconds: float | None = None
    confidence: float | None = None
    order: tuple[str, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)
    """Read-only fields as the file holds them; only counted where they differ."""
    line: int | None = None
    fault: str | None = None
    """Why the row cannot be read at all."""


class FileRead(NamedTuple):
    """What a file holds."""

    format: str
    rows: list[Incoming]
    notes: dict[str, int]
    """What was left out on purpose, counted: drafts, ambiguous responses."""
