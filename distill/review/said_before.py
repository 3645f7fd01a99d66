"""Whether a file says again what the log holds, so that importing twice is importing once."""

from collections.abc import Iterable, Mapping, Sequence

from distill.review.log import Review

Key = tuple[str, str, str, str]
"""Pack, row, content and reviewer."""


def key_of(review: Review) -> Key:
    """Whose word on what a review is."""
    return (review.pack_id, review.row_id, review.content_hash, review.reviewer)


def spoken(reviews: Iterable[Review]) -> dict[Key, list[str]]:
    """Key -> what was said, one thing after the other; saying the same twice is saying it once."""
    found: dict[Key, list[str]] = {}
    for review in reviews:
        said = found.setdefault(key_of(review), [])
        if not said or said[-1] != review.payload:
            said.append(review.payload)
    return found


def said_again(
    file: Mapping[Key, Sequence[str]], log: Mapping[Key, Sequence[str]]
) -> frozenset[Key]:
    """Keys of which a file says nothing but the last that was said from that pack.

    A spreadsheet knows no times, and may hold a row twice or come back after a later pack did.
    """
    return frozenset(
        key for key, said in file.items() if list(log.get(key, ()))[-len(said) :] == list(said)
    )
