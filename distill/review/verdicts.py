"""What reviewers say of a row, taken together: who counts, who differs, what a policy does."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from distill.review.log import Review
from distill.rows.row import canonical_json

Policy = Literal["consensus", "majority", "latest"]
POLICIES: tuple[Policy, ...] = ("consensus", "majority", "latest")
Outcome = Literal["accepted", "edited", "rejected", "waiting", "unreviewed"]
REJECT = "reject"

Current = dict[str, dict[str, Review]]
"""Row id -> reviewer -> what counts of theirs."""


def current(
    reviews: Iterable[Review], hashes: Mapping[str, str], kinds: Sequence[str] | None = None
) -> Current:
    """The reviews that count: each reviewer's last one of every row that is as it was.

    Args:
        reviews: In the order of the log.
        hashes: Row id -> content hash of the rows as they are.
        kinds: Kinds of packs to look at; absent: all.
    """
    found: Current = {}
    for review in reviews:
        if hashes.get(review.row_id) != review.content_hash:
            continue
        if kinds is not None and review.kind not in kinds:
            continue
        of_row = found.setdefault(review.row_id, {})
        # Taken out first: the order in which reviewers spoke last is what `latest` goes by.
        of_row.pop(review.reviewer, None)
        if review.decision is not None:
            of_row[review.reviewer] = review
    return {row: given for row, given in found.items() if given}


def stance(review: Review, original: Mapping[str, Any], fields: Sequence[str]) -> str | None:
    """What a review says of the row, so that equal stances are equal texts; None for a skip."""
    if review.decision == "skip":
        return None
    if review.decision == REJECT:
        return REJECT
    names = sorted({*fields, *review.edits})
    blind = review.kind == "gold"
    return canonical_json(
        {name: review.edits.get(name, None if blind else original.get(name)) for name in names}
    )


@dataclass(frozen=True, slots=True)
class Resolution:
    """What becomes of one row."""

    outcome: Outcome
    edits: Mapping[str, Any]
    provenance: str
    """adjudicated, unanimous, single, majority, latest or unreviewed."""
    reviewers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


UNREVIEWED = Resolution("unreviewed", {}, "unreviewed")


def resolve(
    reviews: Mapping[str, Review],
    original: Mapping[str, Any],
    fields: Sequence[str],
    policy: Policy,
) -> Resolution:
    """What a policy makes of the reviews of one row. A word of an adjudicator beats every policy.

    consensus: all who have a view must agree. majority: more than half of them must, in ties the
    row waits. latest: the last view counts.
    """
    said = {name: review for name, review in reviews.items()
            if stance(review, original, fields) is not None}  # fmt: skip
    final = [review for review in said.values() if review.final]
    if final:
        return _settled(final[-1], original, "adjudicated", said)
    if not said:
        return UNREVIEWED
    stances = {name: stance(review, original, fields) for name, review in said.items()}
    votes = Counter(stances.values())
    top, count = votes.most_common(1)[0]
    if len(votes) == 1:
        how = "unanimous" if len(said) > 1 else "single"
        return _settled(next(iter(said.values())), original, how, said)
    if policy == "latest":
        return _settled(list(said.values())[-1], original, "latest", said)
    if policy == "majority" and 2 * count > len(said):
        winner = next(review for name, review in said.items() if stances[name] == top)
        return _settled(winner, original, "majority", said)
    return Resolution("waiting", {}, "conflict", tuple(said), _tags(said.values()))


def in_conflict(
    reviews: Mapping[str, Review], original: Mapping[str, Any], fields: Sequence[str]
) -> bool:
    """Whether reviewers differ and nobody has had the last word."""
    return resolve(reviews, original, fields, "consensus").outcome == "waiting"


def _settled(
    review: Review, original: Mapping[str, Any], how: str, said: Mapping[str, Review]
) -> Resolution:
    tags = _tags(said.values())
    if review.decision == REJECT:
        return Resolution("rejected", {}, how, tuple(said), tags)
    edits = {
        name: value
        for name, value in review.edits.items()
        if name not in original or canonical_json(original[name]) != canonical_json(value)
    }
    return Resolution("edited" if edits else "accepted", edits, how, tuple(said), tags)


def _tags(reviews: Iterable[Review]) -> tuple[str, ...]:
    return tuple(sorted({tag for review in reviews for tag in review.tags}))
