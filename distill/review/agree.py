"""How far reviewers agree, and the dataset's error rate from the random part."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.measure.agreement import Agreement, agreement
from distill.measure.intervals import Figure, nothing, proportion
from distill.review.choose import RANDOM
from distill.review.log import Review
from distill.review.pack import Pack
from distill.review.source import Source
from distill.review.verdicts import current, resolve

DECISION = "decision"


def agree(source: Source, log: Sequence[Review], packs: Mapping[str, Pack]) -> dict[str, Any]:
    """The shape of CONTRACT section 7: agreement per field and the error rate.

    Reviews made under another rubric, or other labels, are a group of their own.
    """
    own = [review for review in log if not review.final]
    newest = own[-1].schema_hash if own else source.schema.hash
    others = sorted({review.schema_hash for review in own} - {newest})
    return {
        "agreement": _by_field(source, [r for r in own if r.schema_hash == newest]),
        "error_rate": error_rate(source, log, packs).as_dict(),
        "schema_hash": newest,
        "other_schemas": {
            hash: _by_field(source, [r for r in own if r.schema_hash == hash]) for hash in others
        },
    }


def _by_field(source: Source, log: Sequence[Review]) -> dict[str, Any]:
    counted = current(log, source.hashes())
    edited = {name for reviews in counted.values() for r in reviews.values() for name in r.edits}
    names = [*source.outputs, *sorted(edited - set(source.outputs))]
    found = {}
    for name in [DECISION, *names]:
        ratings = {
            row: {who: _rating(review, name, source.rows[row]) for who, review in reviews.items()}
            for row, reviews in counted.items()
        }
        found[name] = _measured(ratings, source.seed)
    return found


def _measured(ratings: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, Any]:
    nominal: Agreement = agreement(ratings, seed=seed)
    shape = nominal.as_dict()
    values = [v for given in ratings.values() for v in given.values() if v is not None]
    if values and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        for level in ("ordinal", "interval"):
            shape[f"alpha_{level}"] = agreement(ratings, level=level, seed=seed).alpha.as_dict()
    return shape


def _rating(review: Review, name: str, original: Mapping[str, Any]) -> Any:
    """What a review says of a field; None, a missing rating, for a skip or a rejected row."""
    if name == DECISION:
        return None if review.decision == "skip" else review.decision
    if review.decision not in ("accept", "edit"):
        return None
    return review.edits.get(name, None if review.kind == "gold" else original.get(name))


def error_rate(source: Source, log: Sequence[Review], packs: Mapping[str, Pack]) -> Figure:
    """Share of wrong rows in the dataset: those edited or rejected among the rows drawn at random.

    Rows on which reviewers differ without a majority are left out.
    """
    drawn = {row.row_id for pack in packs.values() for row in pack.rows if RANDOM in row.why}
    kinds = ("correct", "adjudicate", "gold")
    counted = current(log, source.hashes(), kinds)
    ends = [
        resolve(reviews, source.rows[row], source.outputs, "majority").outcome
        for row, reviews in counted.items()
        if row in drawn
    ]
    settled = [end for end in ends if end in ("accepted", "edited", "rejected")]
    if not settled:
        return nothing("no row of a random part has been reviewed")
    return proportion(sum(end != "accepted" for end in settled), len(settled))
