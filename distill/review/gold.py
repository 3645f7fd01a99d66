"""A gold set made of blind reviews, and few-shot examples made of approved rows.

Each is guarded against the other: a row that is in one, by id, content or near-duplicate, is never
in the other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, UsageError
from distill.measure.duplicates import NearDuplicates, normalise
from distill.review.log import Review
from distill.review.source import Source
from distill.review.verdicts import Policy, current, resolve
from distill.rows.atomic import atomic_file
from distill.rows.row import canonical_json

GOLD, SHOTS = "gold.json", "shots.json"
SIMILARITY = 0.8
"""Texts at least this alike (Jaccard of word 3-grams) are taken for the same."""


@dataclass(frozen=True, slots=True)
class Made:
    """Rows of a gold set or of examples, and what was left out of it."""

    rows: tuple[dict[str, Any], ...]
    left_out: Mapping[str, int]
    """Reason -> rows."""


def make_gold(
    source: Source, log: Sequence[Review], *, policy: Policy, reviews: int, force: bool
) -> Made:
    """Rows with an answer that people gave without seeing the model's.

    Args:
        source: The rows.
        log: All reviews.
        policy: What several reviewers of a row must do.
        reviews: Fewest blind reviews of a row; one is enough where an adjudicator decided.
        force: Take rows whose reviewers saw the model's answer as well; they are marked.

    Raises: UsageError when there is none, saying how to get some.
    """
    kinds = ("gold", "adjudicate", "correct") if force else ("gold", "adjudicate")
    left_out: dict[str, int] = {}
    guard = _Guard(source, read_registered(source.folder, SHOTS))
    rows = []
    for id, given in current(log, source.hashes(), kinds).items():
        blind = {name: review for name, review in given.items() if not review.saw_suggestion}
        if not blind and not force:
            continue  # adjudicated among reviewers who saw the answer
        fields = source.rows[id]
        found = resolve(given if force or _final(given) else blind, fields, source.outputs, policy)
        why: str | None = None
        if found.outcome not in ("accepted", "edited"):
            why = found.outcome
        elif len(found.reviewers) < reviews and found.provenance != "adjudicated":
            why = f"fewer than {reviews} reviews"
        else:
            why = guard.hit(id)
        if why:
            left_out[why] = left_out.get(why, 0) + 1
            continue
        answers = {name: found.edits.get(name, fields.get(name)) for name in source.outputs}
        rows.append(
            {
                "id": id,
                **{name: fields[name] for name in source.first if name in fields},
                **answers,
                "saw_suggestion": any(review.saw_suggestion for review in given.values()),
                "reviewers": sorted(found.reviewers),
            }
        )
    if not rows:
        told = ", ".join(f"{n} {why}" for why, n in sorted(left_out.items()))
        problem = Problem(
            f"no row can be gold ({told or 'there are no blind reviews'})",
            file=source.name,
            fix="Make a blind pack: distill review export RUN --kind gold ... Rows whose reviewers "
            "saw the model's answer flatter the model; --force takes them and marks them.",
        )
        raise UsageError(str(problem), [problem])
    return Made(tuple(sorted(rows, key=lambda row: str(row["id"]))), left_out)


def make_shots(source: Source, log: Sequence[Review], *, policy: Policy, number: int) -> Made:
    """Approved rows as examples for prompts, no two alike, none in or near a gold set.

    Corrected rows come first, then those that most reviewers approved.
    """
    left_out: dict[str, int] = {}
    guard = _Guard(source, read_registered(source.folder, GOLD))
    ranked = []
    for id, given in current(log, source.hashes(), ("correct", "adjudicate")).items():
        found = resolve(given, source.rows[id], source.outputs, policy)
        if found.outcome not in ("accepted", "edited"):
            continue
        if (why := guard.hit(id)) is not None:
            left_out[why] = left_out.get(why, 0) + 1
            continue
        ranked.append((found.outcome != "edited", -len(found.reviewers), id, found))
    taken: list[dict[str, Any]] = []
    seen = NearDuplicates(SIMILARITY)
    for _, _, id, found in sorted(ranked, key=lambda entry: entry[:3]):
        text = _text(source, id)
        if len(taken) == number:
            break
        if seen.find(id, text) is not None:
            left_out["like another example"] = left_out.get("like another example", 0) + 1
            continue
        seen.add(id, text)
        fields = {**source.rows[id], **found.edits}
        names = dict.fromkeys([*source.first, *source.outputs])
        taken.append({"id": id, **{name: fields[name] for name in names if name in fields}})
    return Made(tuple(taken), left_out)


def register(folder: Path, name: str, source: Source, ids: Sequence[str]) -> None:
    """Remembers which rows a set holds, so that the other kind leaves them out."""
    known = read_registered(folder, name)
    known |= {id: _text(source, id) for id in ids}
    with atomic_file(folder / name) as file:
        json.dump(known, file, ensure_ascii=False, indent=0, sort_keys=True)


def read_registered(folder: Path, name: str) -> dict[str, str]:
    """Row id -> text of the rows in sets of one kind.

    Raises: DataError when the file is damaged.
    """
    path = folder / name
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as exc:
        problem = Problem("not what was written here", file=str(path), fix="Make the set again.")
        raise DataError(str(problem), [problem]) from exc


class _Guard:
    """Finds rows that are in the other set, or as good as."""

    def __init__(self, source: Source, other: Mapping[str, str]) -> None:
        self._source, self._other = source, other
        self._same = {normalise(text) for text in other.values()}
        self._near = NearDuplicates(SIMILARITY)
        for id, text in other.items():
            self._near.add(id, text)

    def hit(self, id: str) -> str | None:
        """Why the row may not be taken, None where it may."""
        text = _text(self._source, id)
        if id in self._other or normalise(text) in self._same:
            return "in the other set"
        return "near-duplicate of the other set" if self._near.all("", text) else None


def _text(source: Source, id: str) -> str:
    """What a row is compared by: its input, else everything but the answers."""
    fields = source.rows[id]
    if source.input is not None and isinstance(fields.get(source.input), str):
        return str(fields[source.input])
    rest = {name: value for name, value in fields.items() if name not in source.outputs}
    return " ".join(v if isinstance(v, str) else canonical_json(v) for v in rest.values())


def _final(given: Mapping[str, Review]) -> bool:
    return any(review.final for review in given.values())
