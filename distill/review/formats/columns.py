"""The columns that CSV and XLSX share: ids, read-only fields, then what a reviewer fills in."""

from collections.abc import Mapping
from typing import Any

from distill.review.cells import MISSING, encode, escape, unescape
from distill.review.incoming import Incoming
from distill.review.pack import Pack, PackRow

IDS = ("row_id", "content_hash", "pack_id", "schema_hash")
IN, NEW = "in_", "new_"
LONGEST = 32_767
"""Characters of a cell; Excel cuts what is longer."""


class Layout:
    """Where what stands in the table of a pack."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack
        self.shown = pack.columns
        self.text_only = {
            name: all(isinstance(row.show.get(name, ""), str) for row in pack.rows)
            for name in self.shown
        }
        self.new = [field.name for field in pack.schema.fields]
        self.schema_hash = pack.schema.hash

    @property
    def header(self) -> list[str]:
        """Column names in the order of CONTRACT section 7."""
        names = [
            *IDS, *(IN + name for name in self.shown), "decision",
            *(NEW + name for name in self.new), "tags", "comment", "reviewer",
        ]  # fmt: skip
        return [escape(name) for name in names]

    def cells(self, row: PackRow) -> list[str]:
        """A row's cells, nothing decided yet."""
        ids = (row.row_id, row.content_hash, self.pack.pack_id, self.schema_hash)
        return [
            *(escape(text) for text in ids),
            *(
                encode(row.show[name], text_only=self.text_only[name])
                if name in row.show
                else MISSING
                for name in self.shown
            ),
            *([MISSING] * (len(self.new) + 3)),
            escape(self.pack.reviewer) if self.pack.reviewer else MISSING,
        ]


def incoming(record: Mapping[str, str], line: int) -> Incoming | None:
    """The decision in a row of a table, None for a row with nothing in it."""
    if not any(cell.strip() for cell in record.values()):
        return None
    given = {name: record.get(name) or None for name in (*IDS, "decision", "tags", "comment")}
    tags = unescape(given["tags"] or "")
    return Incoming(
        row_id=unescape((given["row_id"] or "").strip()),
        pack_id=_text(given["pack_id"]),
        content_hash=_text(given["content_hash"]),
        schema_hash=_text(given["schema_hash"]),
        decision=_text(given["decision"]),
        edits={name[len(NEW) :]: cell for name, cell in record.items() if name.startswith(NEW)},
        written="cell",
        tags=tuple(part.strip() for part in tags.replace(";", ",").split(",") if part.strip()),
        comment=unescape(given["comment"] or ""),
        reviewer=_text(record.get("reviewer") or record.get("annotator")),
        at=_text(record.get("at") or record.get("updated_at")),
        seconds=_number(record.get("seconds") or record.get("lead_time")),
        shown={name[len(IN) :]: cell for name, cell in record.items() if name.startswith(IN)},
        line=line,
    )


def _text(cell: str | None) -> str | None:
    return unescape(cell).strip() or None if cell else None


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None
