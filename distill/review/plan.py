"""The import plan: what becomes of every decision in a file, before anything is written.

Per row, in this order: readable, pack known, row known, schema and content hash as the pack holds
them, decision valid, row unchanged since the export, then compared with what the log holds.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from distill.review.cells import decode, encode
from distill.review.formats.columns import Layout
from distill.review.incoming import FileRead, Incoming
from distill.review.log import Review
from distill.review.pack import Pack, PackRow
from distill.review.said_before import key_of, said_again, spoken
from distill.review.schema import CAUSES, DECISIONS
from distill.review.verdicts import stance
from distill.rows.row import canonical_json

OUTCOMES = (
    "applied", "unchanged", "superseded", "conflict", "stale", "unknown", "invalid", "tampered",
)  # fmt: skip
BAD = ("unknown", "invalid", "tampered")
WRITTEN = ("applied", "superseded", "conflict", "stale")
NOBODY = "reviewer"


@dataclass(slots=True)
class Plan:
    """What an import would do, or has done."""

    format: str
    rows: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in OUTCOMES})
    reviews: list[Review] = field(default_factory=list)
    """What is to be added to the log."""
    problems: list[dict[str, Any]] = field(default_factory=list)
    altered_cells: int = 0
    undecided: int = 0
    packs: dict[str, int] = field(default_factory=dict)
    """Pack id -> decisions for it."""
    notes: dict[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """No row is unknown, invalid or tampered."""
        return not any(self.rows[name] for name in BAD)

    def as_dict(self, *, dry_run: bool) -> dict[str, Any]:
        """The shape of CONTRACT section 7."""
        main = max(self.packs, key=lambda id: self.packs[id], default=None)
        return {
            "pack_id": main,
            "pack_ids": sorted(self.packs),
            "format": self.format,
            "dry_run": dry_run,
            "counts": {name: len(ids) for name, ids in self.rows.items()},
            "rows": self.rows,
            "undecided": self.undecided,
            "altered_cells": self.altered_cells,
            "problems": self.problems,
            "notes": self.notes,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What an import is held against."""

    packs: Mapping[str, Pack]
    log: Sequence[Review]
    rows: Mapping[str, Mapping[str, Any]]
    """The rows as they are now."""
    hashes: Mapping[str, str]
    """Their content hashes."""


class _Refused(Exception):
    """Args: outcome, column, what."""


class Planner:
    """Goes through the decisions of a file."""

    def __init__(self, known: Known, read: FileRead, reviewer: str | None, now: str) -> None:
        self._known, self._reviewer, self._now = known, reviewer, now
        self.plan = Plan(read.format, notes=dict(read.notes))
        self._read = read
        self._rows = {
            id: {row.row_id: row for row in pack.rows} for id, pack in known.packs.items()
        }
        self._by_hash = {
            id: {row.content_hash: row for row in pack.rows} for id, pack in known.packs.items()
        }
        self._layouts: dict[str, Layout] = {}
        self._schemas = {id: pack.schema.hash for id, pack in known.packs.items()}
        self._latest: dict[tuple[str, str], dict[str, Review]] = {}
        for review in known.log:
            self._remember(review)

    def run(self) -> Plan:
        """The plan for all rows."""
        judged = [(given, *self._judge(given)) for given in self._read.rows]
        file = spoken(review for given, review, _ in judged if review and not given.at)
        again = said_again(file, spoken(self._known.log))
        for given, review, refused in judged:
            known = review is not None and not given.at and key_of(review) in again
            self._settle(given, review, refused, known=known)
        return self.plan

    def take(
        self, given: Incoming, now: str | None = None
    ) -> tuple[str | None, Review | None, str | None]:
        """What becomes of one decision: outcome, review, and what is wrong with it."""
        self._now = now or self._now
        return self._settle(given, *self._judge(given), known=False)

    def _judge(self, given: Incoming) -> tuple[Review | None, "_Refused | None"]:
        try:
            return self._row(given), None
        except _Refused as refused:
            return None, refused

    def _settle(
        self, given: Incoming, review: Review | None, refused: "_Refused | None", *, known: bool
    ) -> tuple[str | None, Review | None, str | None]:
        if refused is not None:
            outcome, column, what = refused.args
            self._problem(given, column, what)
            self.plan.rows[outcome].append(given.row_id)
            return outcome, None, what
        if review is None:
            self.plan.undecided += 1
            return None, None, None
        outcome = "unchanged" if known else self._compare(review, given)
        review = review if outcome == review.outcome else replace(review, outcome=outcome)
        self.plan.rows[outcome].append(review.row_id)
        if outcome in WRITTEN:
            self.plan.reviews.append(review)
            self._remember(review)
        return outcome, review, None

    def withdrawal(self, given: Incoming, pack: Pack, now: str) -> Review | None:
        """The review that takes back what a reviewer said of a row, None where there is none."""
        row = self._rows[pack.pack_id].get(given.row_id)
        if row is None:
            return None
        of_row = self._latest.get((row.row_id, row.content_hash), {})
        before = of_row.get(given.reviewer or pack.reviewer or NOBODY)
        if before is None or before.decision is None:
            return None
        back = replace(
            before, decision=None, edits={}, tags=(), comment="", at=now, outcome="applied"
        )
        self._remember(back)
        return back

    def _row(self, given: Incoming) -> Review | None:
        """The review in a row, None where nothing is decided yet."""
        if given.fault:
            raise _Refused("invalid", None, given.fault)
        pack, row = self._place(given)
        self._count_altered(given, pack, row)
        schema_hash = self._schemas[pack.pack_id]
        for name, there in (("content_hash", row.content_hash), ("schema_hash", schema_hash)):
            found = getattr(given, name)
            if found is not None and found != there:
                raise _Refused("tampered", name, f"{name} is not what the pack holds")
        edits = self._edits(given, pack, row)
        decision = self._decision(given, pack, edits)
        if decision is None:
            return None
        if decision in ("accept", "reject", "skip"):
            edits = {}
        self.plan.packs[pack.pack_id] = self.plan.packs.get(pack.pack_id, 0) + 1
        return self._review(given, pack, row, decision, edits)

    def _place(self, given: Incoming) -> tuple[Pack, PackRow]:
        """The pack and row that a decision is for."""
        packs = self._known.packs
        if given.pack_id is not None and given.pack_id not in packs:
            raise _Refused("unknown", "pack_id", f"no pack {given.pack_id[:40]!r} was made here")
        if not given.row_id and given.content_hash is None:
            raise _Refused("unknown", "row_id", "the row has no row_id")
        ids = [given.pack_id] if given.pack_id is not None else list(packs)[::-1]
        held = [(packs[id], row) for id in ids if (row := self._rows[id].get(given.row_id))]
        for pack, row in held:  # without a pack's id, the one that sent these very hashes
            sent = {row.content_hash, self._schemas[pack.pack_id]}
            if {given.content_hash, given.schema_hash} - {None} <= sent:
                return pack, row
        if held:
            return held[0]
        for id in ids:
            row = self._by_hash[id].get(given.content_hash or "")
            if row is None:
                continue
            if _same_number(row.row_id, given.row_id):  # a spreadsheet took the id for a number
                return packs[id], row
            raise _Refused("tampered", "row_id", "row_id is not what the pack holds")
        raise _Refused("unknown", "row_id", f"no row {given.row_id[:40]!r} in the pack")

    def _count_altered(self, given: Incoming, pack: Pack, row: PackRow) -> None:
        if not given.shown:
            return
        layout = self._layouts.get(pack.pack_id)
        if layout is None:
            layout = self._layouts[pack.pack_id] = Layout(pack)
        for name, found in given.shown.items():
            if name not in layout.text_only:
                continue
            there = row.show.get(name)
            if given.written == "cell":
                same = found == encode(there, text_only=layout.text_only[name])
            else:
                same = canonical_json(found) == canonical_json(there)
            self.plan.altered_cells += not same

    def _edits(self, given: Incoming, pack: Pack, row: PackRow) -> dict[str, Any]:
        """The corrected values that differ from what was shown, checked."""
        edits = {}
        for name, written in given.edits.items():
            spec = pack.schema.field(name)
            if spec is None and name not in row.show:
                if written in (None, ""):
                    continue
                raise _Refused("invalid", f"new_{name}", f"the pack has no field {name!r}")
            if given.written != "value" and given.decision and _is_blank(written):
                continue  # a space that slipped in
            text_only = spec.text_only if spec else isinstance(row.show.get(name), str)
            value = _value(written, given.written, text_only)
            if value is None:
                continue
            try:
                value = spec.match(value) if spec else value
            except ValueError as exc:
                raise _Refused("invalid", f"new_{name}", str(exc)) from None
            if pack.kind == "gold" or canonical_json(value) != canonical_json(row.show.get(name)):
                edits[name] = value
        return edits

    def _decision(self, given: Incoming, pack: Pack, edits: Mapping[str, Any]) -> str | None:
        decision = (given.decision or "").strip().casefold() or None
        if decision is None:
            written = any(value not in (None, "", []) for value in given.edits.values())
            if not written:
                return None
            return "edit" if edits else "accept"
        if decision not in DECISIONS:
            allowed = ", ".join(DECISIONS)
            found = f"{str(given.decision)[:40]!r} is no decision ({allowed})"
            raise _Refused("invalid", "decision", found)
        if decision == "edit" and not edits:
            raise _Refused("invalid", "decision", "edit without a changed value in a column new_")
        if decision == "accept" and pack.kind == "gold":
            if not edits:
                raise _Refused("invalid", "decision", "accept without an answer in a column new_")
            return "edit"
        if decision == "accept" and edits:
            names = ", ".join(f"new_{name}" for name in sorted(edits))
            raise _Refused("invalid", "decision", f"accept, but {names} differs; write edit")
        return decision

    def _review(
        self, given: Incoming, pack: Pack, row: PackRow, decision: str, edits: Mapping[str, Any]
    ) -> Review:
        allowed = {*pack.schema.tags, *CAUSES}
        for tag in given.tags:
            if tag not in allowed:
                self.plan.notes[f"new tag {tag[:40]!r}"] = (
                    self.plan.notes.get(f"new tag {tag[:40]!r}", 0) + 1
                )
        if given.at and _moment(given.at) is None:
            raise _Refused("invalid", "at", f"{given.at[:40]!r} is no time")
        return Review(
            pack_id=pack.pack_id,
            row_id=row.row_id,
            content_hash=row.content_hash,
            schema_hash=self._schemas[pack.pack_id],
            kind=pack.kind,
            reviewer=given.reviewer or self._reviewer or pack.reviewer or NOBODY,
            decision=decision,
            edits=edits,
            tags=tuple(dict.fromkeys(given.tags)),
            comment=given.comment,
            at=_moment(given.at) or self._now if given.at else self._now,
            seconds=given.seconds,
            confidence=given.confidence,
            final=pack.kind == "adjudicate",
            saw_suggestion=pack.kind != "gold",
            order=given.order,
            source=self._read.format,
        )

    def _compare(self, review: Review, given: Incoming) -> str:
        of_row = self._latest.get((review.row_id, review.content_hash), {})
        before = of_row.get(review.reviewer)
        if before is not None and before.decision is None:
            before = None  # taken back
        # The same words under another rubric, or seen blind, are another review.
        if before is not None and before.payload == review.payload and (
            before.schema_hash, before.kind) == (review.schema_hash, review.kind):  # fmt: skip
            return "unchanged"
        if before is not None and given.at and before.at and review.at < before.at:
            return "unchanged"  # an older copy of a file that came in later
        if self._known.hashes.get(review.row_id) != review.content_hash:
            return "stale"
        if review.final:
            return "superseded" if before else "applied"
        original = self._known.rows[review.row_id]
        fields = [field.name for field in self._known.packs[review.pack_id].schema.fields]
        mine = stance(review, original, fields)
        for other in of_row.values():
            if other.reviewer == review.reviewer or other.final or other.decision is None:
                continue
            theirs = stance(other, original, fields)
            if None not in (mine, theirs) and mine != theirs:
                return "conflict"
        return "superseded" if before else "applied"

    def _remember(self, review: Review) -> None:
        key = (review.row_id, review.content_hash)
        self._latest.setdefault(key, {})[review.reviewer] = review

    def _problem(self, given: Incoming, column: str | None, what: str) -> None:
        self.plan.problems.append(
            {"row_id": given.row_id, "line": given.line, "column": column, "what": what}
        )


def make_plan(known: Known, read: FileRead, *, reviewer: str | None, now: str) -> Plan:
    """What becomes of every decision in a file.

    Args:
        known: Packs, log and rows.
        read: The file.
        reviewer: Who decided, where the file does not say.
        now: ISO 8601; when it was decided, where the file does not say.
    """
    return Planner(known, read, reviewer, now).run()


def current_hashes(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Row id -> content hash."""
    return dict(rows)


def _is_blank(written: Any) -> bool:
    return isinstance(written, str) and bool(written) and not written.strip(" ")


def _value(written: Any, how: str, text_only: bool) -> Any:
    if how == "value":
        return written
    text = written if isinstance(written, str) else canonical_json(written)
    if how == "cell":
        return decode(text, text_only=text_only)
    if text == "" or text_only:
        return text or None
    from distill.review.cells import escape

    return decode(escape(text), text_only=False)


_NUMBER = re.compile(r"[+-]?[\d.,]+(?:[eE][+-]?\d+)?\Z")


def _same_number(id: str, cell: str) -> bool:
    """Whether a spreadsheet could have made this cell of this id: 007 -> 7, 1234... -> 1.23E+17."""
    if not (_NUMBER.match(id) and _NUMBER.match(cell)):
        return False
    try:
        one, other = float(id.replace(",", ".")), float(cell.replace(",", "."))
    except ValueError:
        return False
    return abs(one - other) <= 1e-4 * max(abs(one), abs(other))


def _moment(text: str | None) -> str | None:
    """ISO 8601 in UTC, so that times compare as texts; None where it is no time."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
