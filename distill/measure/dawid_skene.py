"""What units most likely are, and how good each rater is, from ratings alone.

Dawid and Skene 1979, "Maximum likelihood estimation of observer error-rates using the EM
algorithm", sections 2 and 3. numpy belongs to the extra `evaluate`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.measure.words import numpy

STEPS = 100
TOLERANCE = 1e-6
"""Largest change of any unit's probabilities at which the iteration has settled."""
SMOOTHING = 0.01
"""Added to every count, so that what a rater never did is rare and not impossible."""
MOST_CELLS = 50_000_000
"""Raters times labels squared: the size of all confusion matrices."""


@dataclass(frozen=True, slots=True)
class Consensus:
    """The outcome of the iteration."""

    labels: Sequence[str]
    units: Mapping[Any, tuple[str, float]]
    """Unit -> its most probable label and the probability."""
    majority: Mapping[Any, str | None]
    """Unit -> the label most raters gave; None where two are level."""
    raters: Mapping[str, float]
    """Rater -> estimated chance of giving the right label, over all labels as they come."""
    informativeness: Mapping[str, float]
    """Rater -> 0 where the rating says nothing about the unit (or always the same), 1 where it
    settles it: mean distance between the rows of the confusion matrix."""
    counts: Mapping[str, int]
    """Rater -> ratings."""
    prior: Mapping[str, float]
    steps: int


def dawid_skene(ratings: Mapping[Any, Mapping[str, str]]) -> Consensus | None:
    """Returns the labels and raters' quality; None where the model is too large or has no label.

    Args:
        ratings: Unit -> rater -> label; what is missing is left out.
    """
    np = numpy()
    units = [unit for unit, given in ratings.items() if given]
    raters = sorted({rater for given in ratings.values() for rater in given})
    labels = sorted({label for given in ratings.values() for label in given.values()})
    if not labels or len(raters) * len(labels) ** 2 > MOST_CELLS:
        return None
    rater_at = {rater: at for at, rater in enumerate(raters)}
    label_at = {label: at for at, label in enumerate(labels)}
    cells = [
        (row, rater_at[rater], label_at[label])
        for row, unit in enumerate(units)
        for rater, label in ratings[unit].items()
    ]
    unit_of, rater_of, label_of = (np.asarray(part) for part in zip(*cells, strict=True))
    votes = np.zeros((len(units), len(labels)))
    np.add.at(votes, (unit_of, label_of), 1.0)
    p, size = votes / votes.sum(axis=1, keepdims=True), (len(raters), len(labels), len(labels))
    steps, prior, confusion = 0, p.mean(axis=0), np.zeros(size)
    while steps < STEPS:
        steps += 1
        prior = p.mean(axis=0)
        confusion = np.full(size, SMOOTHING)
        np.add.at(confusion, (rater_of, slice(None), label_of), p[unit_of])
        confusion /= confusion.sum(axis=2, keepdims=True)
        logs = np.tile(np.log(prior + 1e-300), (len(units), 1))
        np.add.at(logs, unit_of, np.log(confusion[rater_of, :, label_of]))
        fresh = np.exp(logs - logs.max(axis=1, keepdims=True))
        fresh /= fresh.sum(axis=1, keepdims=True)
        change = np.abs(fresh - p).max()
        p = fresh
        if change < TOLERANCE:
            break
    best = p.argmax(axis=1)
    right = np.einsum("rkk,k->r", confusion, prior)
    apart = [_apart(matrix) for matrix in confusion]
    often = np.bincount(rater_of, minlength=len(raters))
    return Consensus(
        labels,
        {unit: (labels[best[at]], float(p[at, best[at]])) for at, unit in enumerate(units)},
        {unit: _majority(labels, votes[at]) for at, unit in enumerate(units)},
        {rater: float(right[at]) for at, rater in enumerate(raters)},
        {rater: apart[at] for at, rater in enumerate(raters)},
        {rater: int(often[at]) for at, rater in enumerate(raters)},
        {label: float(prior[at]) for at, label in enumerate(labels)},
        steps,
    )


def _majority(labels: Sequence[str], votes: Any) -> str | None:
    top = numpy().flatnonzero(votes == votes.max())
    return labels[top[0]] if len(top) == 1 else None


def _apart(matrix: Any) -> float:
    """Mean total variation between what a rater says of any two labels."""
    np = numpy()
    k = len(matrix)
    if k < 2:
        return 0.0
    between = np.abs(matrix[:, None, :] - matrix[None, :, :]).sum(axis=2) / 2
    return float(between.sum() / (k * (k - 1)))
