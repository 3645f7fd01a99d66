"""Which rows go to reviewers: a random part always, so that an error rate can be stated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from distill.review.doubt import Doubt
from distill.rows.row import digest

Choose = Literal["random", "doubtful", "mixed"]
RANDOM_SHARE = {"random": 1.0, "mixed": 0.5, "doubtful": 0.2}
RANDOM = "random"
EXTRA = "extra"
"""Drawn at random too, in the place of a doubtful row that was drawn already."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row that was chosen."""

    id: str
    why: tuple[str, ...]
    p_incl: float
    """Chance that it got in: 1 for the most doubtful ones, which any draw would hold."""


def choose_rows(
    ids: Sequence[str],
    doubts: Mapping[str, Sequence[Doubt]],
    how: Choose,
    rows: int | None,
    seed: int,
) -> list[Chosen]:
    """The rows of a pack, in an order that tells nothing of why they were chosen.

    The random part is drawn from all rows, so alone it is a fair sample of the dataset. The rest of
    the places goes to the most doubtful rows.

    Args:
        ids: All rows.
        doubts: Row id -> what makes it doubtful.
        how: Random only, mostly doubtful, or half of each.
        rows: How many; absent: all.
        seed: Of the draw.
    """
    wanted = len(ids) if rows is None else min(rows, len(ids))
    shuffled = sorted(ids, key=lambda id: digest([seed, id]))
    part = wanted if wanted == len(ids) else max(1, round(wanted * RANDOM_SHARE[how]))
    drawn = set(shuffled[:part])
    weight = {id: sum(doubt.weight for doubt in found) for id, found in doubts.items()}
    # Whatever the draw, the most doubtful rows are in.
    sure = set(sorted(shuffled, key=lambda id: -weight.get(id, 0.0))[: wanted - part])
    # A row may be both; the places that this frees go to the next of the draw.
    chosen = {*drawn, *sure}
    chosen |= set([id for id in shuffled if id not in chosen][: wanted - len(chosen)])
    share = part / (len(ids) - len(sure)) if len(ids) > len(sure) else 1.0
    return [
        Chosen(
            id,
            (
                *((RANDOM,) if id in drawn else (EXTRA,) if id not in sure else ()),
                *(doubt.why for doubt in doubts.get(id, ())),
            ),
            1.0 if id in sure else share,
        )
        for id in ids
        if id in chosen
    ]


def assign(
    ids: Sequence[str], reviewers: Sequence[str], overlap: int, seed: int
) -> dict[str, list[str]]:
    """Reviewer -> row ids: each row goes to `overlap` of them, by hash, as evenly as it falls."""
    given: dict[str, list[str]] = {name: [] for name in reviewers}
    for id in ids:
        ranked = sorted(reviewers, key=lambda name: (len(given[name]), digest([seed, id, name])))
        for name in ranked[:overlap]:
            given[name].append(id)
    return given
