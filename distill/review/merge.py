"""The dataset with the reviews put in: a pure function of (rows, log, policy)."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.review.log import Review, log_hash
from distill.review.source import Source
from distill.review.verdicts import UNREVIEWED, Policy, Resolution, current, resolve
from distill.rows.row import canonical_json

TRAINING_KINDS = ("correct", "adjudicate")
"""Blind reviews make gold; what is gold never trains anything."""


@dataclass(frozen=True, slots=True)
class MergedRow:
    """One row after the merge."""

    id: str
    content_hash: str
    before: Mapping[str, Any]
    resolution: Resolution

    @property
    def after(self) -> dict[str, Any]:
        """Its fields with the edits put in."""
        return {**self.before, **self.resolution.edits}

    @property
    def kept(self) -> bool:
        """It belongs to the new version."""
        return self.resolution.outcome in ("accepted", "edited", "unreviewed")


@dataclass(frozen=True, slots=True)
class Pair:
    """A better and a worse answer to the same input."""

    id: str
    fields: Mapping[str, Any]
    chosen: Mapping[str, Any]
    rejected: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Merged:
    """A whole dataset after the merge."""

    policy: Policy
    log_hash: str
    rows: tuple[MergedRow, ...]
    pairs: tuple[Pair, ...]
    held_back: tuple[str, ...]
    """Rows that are gold now, and so belong to no training set."""

    def count(self, outcome: str) -> int:
        """Rows that ended so."""
        return sum(row.resolution.outcome == outcome for row in self.rows)

    def counts(self) -> dict[str, int]:
        """The figures of CONTRACT section 7."""
        outcomes = ("accepted", "edited", "rejected", "waiting", "unreviewed")
        return {
            **{name: self.count(name) for name in outcomes},
            "preferences": len(self.pairs),
            "held_back_as_gold": len(self.held_back),
        }

    def diff(self) -> dict[str, Any]:
        """What the reviews changed: fields, from which value to which, tags, rows that went."""
        edited = [row for row in self.rows if row.resolution.outcome == "edited"]
        fields = Counter(name for row in edited for name in row.resolution.edits)
        changes: dict[str, Counter[tuple[str, str]]] = {}
        for row in edited:
            for name, value in row.resolution.edits.items():
                pair = (_short(row.before.get(name)), _short(value))
                changes.setdefault(name, Counter())[pair] += 1
        tags = Counter(tag for row in self.rows for tag in row.resolution.tags)
        return {
            "fields": dict(fields.most_common()),
            "changes": {
                name: [
                    {"from": one, "to": other, "rows": n}
                    for (one, other), n in counted.most_common(20)
                ]
                for name, counted in changes.items()
            },
            "tags": dict(tags.most_common()),
            "provenance": dict(Counter(row.resolution.provenance for row in self.rows)),
            "removed": sorted(row.id for row in self.rows if not row.kept),
        }


def merge(
    source: Source, log: Sequence[Review], policy: Policy, gold: Collection[str] = ()
) -> Merged:
    """The rows with what reviewers said of them; `gold` names rows that left for a gold set."""
    hashes = source.hashes()
    counted = current(log, hashes, TRAINING_KINDS)
    rows = tuple(
        MergedRow(
            id,
            hashes[id],
            fields,
            resolve(counted[id], fields, source.outputs, policy) if id in counted else UNREVIEWED,
        )
        for id, fields in source.rows.items()
        if id not in gold
    )
    held_back = tuple(id for id in source.rows if id in gold)
    return Merged(policy, log_hash(log), rows, _pairs(source, rows), held_back)


def _pairs(source: Source, rows: Sequence[MergedRow]) -> tuple[Pair, ...]:
    """Edits against what they replaced; rejected answers against good ones to the same input."""
    outputs = source.outputs
    pairs = [
        Pair(row.id, row.before, _only(row.after, outputs), _only(row.before, outputs))
        for row in rows
        if row.resolution.outcome == "edited" and set(row.resolution.edits) & set(outputs)
    ]
    inputs = [name for name in source.first if name not in outputs]
    good: dict[str, MergedRow] = {}
    for row in rows:
        if row.resolution.outcome in ("accepted", "edited"):
            good.setdefault(_asked(row.after, inputs, source.input), row)
    for row in rows:
        if row.resolution.outcome != "rejected":
            continue
        other = good.get(_asked(row.before, inputs, source.input))
        worse = _only(row.before, outputs)
        if other is not None and (better := _only(other.after, outputs)) != worse:
            pairs.append(Pair(row.id, row.before, better, worse))
    return tuple(sorted(pairs, key=lambda pair: pair.id))


def _asked(fields: Mapping[str, Any], inputs: Sequence[str], input: str | None) -> str:
    names = [input] if input is not None else inputs
    return canonical_json({name: fields.get(name) for name in names})


def _only(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names if name in fields}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= 80 else text[:79] + "\u2026"
