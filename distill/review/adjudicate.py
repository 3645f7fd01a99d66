"""The queue of conflicts, lowest agreement first, as a pack for whoever has the last word."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from distill.review.export import finished
from distill.review.log import Review
from distill.review.pack import Pack, PackRow, visible
from distill.review.schema import CAUSES
from distill.review.source import Source
from distill.review.verdicts import current, in_conflict, stance

SAID = "reviewers_said"
"""The field that shows who said what."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row on which reviewers differ."""

    row_id: str
    agreement: float
    """Share of agreeing pairs of reviewers."""
    said: Mapping[str, Any]
    """Reviewer -> decision, edits, tags, comment."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"row_id": self.row_id, "agreement": self.agreement, "said": dict(self.said)}


def queue(source: Source, log: Sequence[Review]) -> list[Conflict]:
    """Rows on which reviewers differ and nobody has had the last word, the worst first."""
    found = []
    for id, reviews in current(log, source.hashes()).items():
        if in_conflict(reviews, source.rows[id], source.outputs):
            share = _share(reviews, source.rows[id], source.outputs)
            found.append(Conflict(id, share, {n: _told(r) for n, r in sorted(reviews.items())}))
    return sorted(found, key=lambda conflict: (conflict.agreement, conflict.row_id))


def adjudication_pack(source: Source, conflicts: Sequence[Conflict], now: str) -> Pack:
    """The queue as a pack; what is decided in it is final."""
    hashes = source.hashes()
    rows = []
    for conflict in conflicts:
        fields = source.rows[conflict.row_id]
        rows.append(
            PackRow(
                row_id=conflict.row_id,
                content_hash=hashes[conflict.row_id],
                show={**visible(fields, source.first, ()), SAID: _lines(conflict.said)},
                suggestion=source.suggestions(fields),
                why=("conflict",),
            )
        )
    tags = tuple(dict.fromkeys([*CAUSES, *source.schema.tags]))
    schema = replace(source.schema, tags=tags)
    blank = Pack("", "adjudicate", source.name, now, schema, (), population=len(source.rows))
    return finished(blank, rows, None)


def _share(
    reviews: Mapping[str, Review], original: Mapping[str, Any], fields: Sequence[str]
) -> float:
    votes = Counter(
        said for review in reviews.values() if (said := stance(review, original, fields))
    )
    total = votes.total()
    return sum(n * (n - 1) for n in votes.values()) / (total * (total - 1))


def _told(review: Review) -> dict[str, Any]:
    return {
        "decision": review.decision,
        "edits": dict(review.edits),
        "tags": list(review.tags),
        "comment": review.comment,
    }


def _lines(said: Mapping[str, Any]) -> str:
    lines = []
    for name, told in said.items():
        edits = "".join(f", {field} = {value}" for field, value in told["edits"].items())
        tags = f" [{', '.join(told['tags'])}]" if told["tags"] else ""
        comment = f": {told['comment']}" if told["comment"] else ""
        lines.append(f"{name}: {told['decision']}{edits}{tags}{comment}")
    return "\n".join(lines)
