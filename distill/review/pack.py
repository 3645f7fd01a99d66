"""A pack: rows sent to reviewers, with everything needed to take their decisions back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from distill.errors import DataError, Problem
from distill.review.schema import Schema
from distill.rows.atomic import atomic_file
from distill.rows.row import digest

Kind = Literal["correct", "gold", "adjudicate"]
"""The output is shown and may be corrected; it is hidden; reviewers differed and one decides."""
VERSION = 1


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a teacher gave for one field."""

    value: Any
    source: str | None = None
    """teacher:MODEL"""
    score: float | None = None
    """Share of votes, where it voted."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"value": self.value, "source": self.source, "score": self.score}


@dataclass(frozen=True, slots=True)
class PackRow:
    """One row of a pack."""

    row_id: str
    content_hash: str
    show: Mapping[str, Any]
    """Fields to read, in the order in which they are shown."""
    suggestion: Mapping[str, Suggestion] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    """Why it was chosen; `random` marks the part that an error rate is taken from."""
    p_incl: float = 1.0
    """Chance that it got into the pack."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "row_id": self.row_id,
            "content_hash": self.content_hash,
            "show": dict(self.show),
            "suggestion": {name: s.as_dict() for name, s in self.suggestion.items()},
            "why": list(self.why),
            "p_incl": self.p_incl,
        }


@dataclass(frozen=True, slots=True)
class Pack:
    """Rows for one or several reviewers."""

    pack_id: str
    kind: Kind
    name: str
    """Of the run or file."""
    created: str
    schema: Schema
    rows: tuple[PackRow, ...]
    reviewer: str | None = None
    """Whom it was made for."""
    overlap: int | None = None
    choose: str = "random"
    population: int = 0
    """Rows that it was drawn from."""

    @property
    def columns(self) -> list[str]:
        """All fields that rows show, in order of first use."""
        return list(dict.fromkeys(name for row in self.rows for name in row.show))

    def as_dict(self) -> dict[str, Any]:
        """The file review/packs/PACK_ID.json."""
        return {
            "v": VERSION,
            "pack_id": self.pack_id,
            "kind": self.kind,
            "name": self.name,
            "created": self.created,
            "reviewer": self.reviewer,
            "overlap": self.overlap,
            "choose": self.choose,
            "population": self.population,
            "schema": self.schema.as_dict(),
            "schema_hash": self.schema.hash,
            "rows": [row.as_dict() for row in self.rows],
        }


def pack_id_of(kind: str, schema: Schema, rows: Iterable[PackRow], reviewer: str | None) -> str:
    """The id of a pack: the same rows, questions and reviewer have the same id."""
    content = [[row.row_id, row.content_hash, list(row.why), row.p_incl] for row in rows]
    return digest([kind, schema.hash, reviewer, content])[:12]


def pack_from_dict(data: Mapping[str, Any]) -> Pack:
    """What `as_dict` wrote.

    Raises: KeyError, TypeError or ValueError for anything else.
    """
    rows = tuple(
        PackRow(
            row_id=row["row_id"],
            content_hash=row["content_hash"],
            show=row["show"],
            suggestion={name: Suggestion(**given) for name, given in row["suggestion"].items()},
            why=tuple(row["why"]),
            p_incl=row["p_incl"],
        )
        for row in data["rows"]
    )
    return Pack(
        pack_id=data["pack_id"],
        kind=data["kind"],
        name=data["name"],
        created=data["created"],
        schema=Schema.from_dict(data["schema"]),
        rows=rows,
        reviewer=data["reviewer"],
        overlap=data["overlap"],
        choose=data["choose"],
        population=data["population"],
    )


def write_pack(folder: Path, pack: Pack) -> Path:
    """Writes packs/PACK_ID.json below the review folder; an equal pack is left as it is."""
    path = folder / "packs" / f"{pack.pack_id}.json"
    if not path.is_file():
        with atomic_file(path) as file:
            # Not sorted: fields are shown in their order.
            json.dump(pack.as_dict(), file, ensure_ascii=False, allow_nan=False)
            file.write("\n")
    return path


def read_packs(folder: Path) -> dict[str, Pack]:
    """All packs of a review folder by id, the oldest first.

    Raises: DataError when one cannot be read.
    """
    packs = []
    for path in sorted((folder / "packs").glob("*.json")):
        try:
            packs.append(pack_from_dict(json.loads(path.read_text("utf-8"))))
        except (OSError, ValueError, KeyError, TypeError) as exc:
            problem = Problem(
                f"not the pack that was written here ({exc})",
                file=str(path),
                fix="Restore it from a copy: reviews made from it cannot be checked without it.",
            )
            raise DataError(str(problem), [problem]) from exc
    return {pack.pack_id: pack for pack in sorted(packs, key=lambda p: (p.created, p.pack_id))}


def visible(fields: Mapping[str, Any], first: Sequence[str], hide: Iterable[str]) -> dict[str, Any]:
    """The fields to show: those in `first` before the others, without those in `hide`."""
    hidden = set(hide)
    names = [*(name for name in first if name in fields), *fields]
    return {name: fields[name] for name in dict.fromkeys(names) if name not in hidden}
