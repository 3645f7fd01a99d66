"""What the ratings of a field say together: agreement, Dawid-Skene, rows that raters dispute."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from distill.inspect.ratings import Ratings
from distill.measure.agreement import Level, agreement
from distill.measure.dawid_skene import Consensus, dawid_skene
from distill.measure.intervals import Figure, nothing, proportion

CHANCE = 0.1
"""A rater whose ratings say less than this about the unit (see `informativeness`) is named."""
LEAST_RATINGS = 10
"""Ratings from which a rater's quality is spoken of."""


def measure_agreement(
    ratings: Ratings,
    rows: Mapping[str, Sequence[str]],
    level: Level,
    gold: Mapping[str, str] | None,
) -> dict[str, Any]:
    """The `agreement` entry of one field (CONTRACT section 5), and more.

    Args:
        ratings: Of the field.
        rows: Unit -> ids of its rows.
        level: What differences between labels mean.
        gold: Unit -> its true label, where it is known; None without gold.
    """
    found = agreement(ratings.by_unit, level=level, anonymous=ratings.anonymous).as_dict()
    found["fleiss"] |= _complete(ratings, found["fleiss"])
    consensus = None if ratings.anonymous else dawid_skene(ratings.by_unit)
    majority = _majority(ratings)
    disputed = _disputed(ratings)
    return {
        **found,
        "ratings": sum(map(len, ratings.by_unit.values())),
        "missing": ratings.missing,
        "repeated": ratings.repeated,
        "anonymous": ratings.anonymous,
        "labels": dict(
            Counter(x for given in ratings.by_unit.values() for x in given.values()).most_common()
        ),
        "disputed": [
            {"unit": unit, "votes": votes, "rows": list(rows[unit])} for unit, votes in disputed
        ],
        "ties": sum(label is None for label in majority.values()),
        "dawid_skene": _skene(consensus, rows)
        if consensus
        else {
            "labels": None,
            "why": "votes name no rater"
            if ratings.anonymous
            else "no rating, or too many labels and raters",
        },
        "gold": None if gold is None else _against_gold(ratings, majority, consensus, gold),
    }


def _complete(ratings: Ratings, fleiss: Mapping[str, Any]) -> dict[str, Any]:
    """Says which units Fleiss' kappa left out."""
    sizes = Counter(len(given) for given in ratings.by_unit.values() if len(given) > 1)
    if len(sizes) < 2:
        return {}
    usual = max(sizes, key=lambda size: (sizes[size], size))
    others = len(ratings.by_unit) - sizes[usual]
    note = (
        f"undefined over units with different numbers of ratings; this is over the {sizes[usual]:,}"
        f" units with {usual}, and leaves out {others:,}"
    )
    return {"note": note, "left_out": others, "ratings_per_unit": usual}


def _majority(ratings: Ratings) -> dict[str, str | None]:
    found = {}
    for unit, given in ratings.by_unit.items():
        if given:
            top = Counter(given.values()).most_common(2)
            found[unit] = None if len(top) > 1 and top[0][1] == top[1][1] else top[0][0]
    return found


def _disputed(ratings: Ratings) -> list[tuple[str, dict[str, int]]]:
    """Units without one voice, the most divided first."""
    found = []
    for unit, given in ratings.by_unit.items():
        votes = dict(Counter(given.values()).most_common())
        if len(votes) > 1:
            found.append((max(votes.values()) / len(given), unit, votes))
    return [(unit, votes) for _, unit, votes in sorted(found, key=lambda part: part[:2])]


def _skene(consensus: Consensus, rows: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    units = {
        unit: {"label": label, "p": p, "majority": consensus.majority[unit]}
        for unit, (label, p) in consensus.units.items()
    }
    changed = [unit for unit, found in units.items() if found["majority"] != found["label"]]
    raters = {
        rater: {
            "accuracy": consensus.raters[rater],
            "informativeness": consensus.informativeness[rater],
            "ratings": consensus.counts[rater],
        }
        for rater in sorted(consensus.raters, key=lambda name: consensus.informativeness[name])
    }
    poor = [
        rater
        for rater, found in raters.items()
        if found["informativeness"] < CHANCE and found["ratings"] >= LEAST_RATINGS
    ]
    return {
        "labels": consensus.prior,
        "units": units,
        "changed": [{"unit": unit, **units[unit], "rows": list(rows[unit])} for unit in changed],
        "raters": raters,
        "poor_raters": poor,
        "steps": consensus.steps,
    }


def _against_gold(
    ratings: Ratings,
    majority: Mapping[str, str | None],
    consensus: Consensus | None,
    gold: Mapping[str, str],
) -> dict[str, Any]:
    """How often majority and Dawid-Skene are right; a figure only where gold joins units."""
    joined = [unit for unit in majority if unit in gold]
    if not joined:
        example = next(iter(gold), "")
        why = f"gold joins no unit (gold's {example!r}; rated {next(iter(majority), '')!r})"
        none = nothing(why).as_dict()
        return {"joined": 0, "rows": len(gold), "majority": none, "dawid_skene": none}
    labels = {label.casefold() for given in ratings.by_unit.values() for label in given.values()}
    known = [unit for unit in joined if gold[unit].casefold() in labels]
    skene: Figure = nothing("no Dawid-Skene labels")
    if consensus:
        skene = _share(known, gold, {unit: consensus.units[unit][0] for unit in known})
    return {
        "joined": len(joined),
        "rows": len(gold),
        "majority": _share(known, gold, majority).as_dict(),
        "dawid_skene": skene.as_dict(),
    }


def _share(
    units: Sequence[str], gold: Mapping[str, str], labels: Mapping[str, str | None]
) -> Figure:
    right = sum((labels[unit] or "").casefold() == gold[unit].casefold() for unit in units)
    return proportion(right, len(units))
