"""What a row says about the labels: the one it has, and where it tells it a distribution.

Shapes: L labels. Log-probabilities in nats.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from distill.losses.targets import FLOOR


def soft_labels(
    fields: Mapping[str, Any], names: Sequence[str], labels: Sequence[str], answer: str
) -> list[float] | None:
    """The log-probability of each label, in the order of `labels`; None where a row tells none.

    The first of the fields `names` that has any counts: NAME_logp (label -> log-probability), else
    NAME_votes (label -> count), else NAME_p (the probability of the row's label; the rest is
    spread evenly over the others, which for two labels is exact).
    """
    for name in names:
        logp = _table(fields.get(f"{name}_logp"), labels)
        if logp:
            return _normalised([logp.get(label, FLOOR) for label in labels])
        votes = _table(fields.get(f"{name}_votes"), labels)
        if any(votes.values()):
            counts = [votes.get(label, 0.0) for label in labels]
            return _normalised([math.log(count) if count > 0 else FLOOR for count in counts])
        share = fields.get(f"{name}_p")
        if (
            isinstance(share, int | float)
            and 0 <= share <= 1
            and fields.get(name, answer) == answer
        ):
            rest = (1 - share) / (len(labels) - 1)
            return [_log(float(share) if label == answer else rest) for label in labels]
    return None


def _table(value: Any, labels: Sequence[str]) -> dict[str, float]:
    """The numbers of the task's labels in a table; others, and what is no table, are left out."""
    given = value if isinstance(value, Mapping) else {}
    return {label: float(given[label]) for label in labels if given.get(label) is not None}


def _normalised(logs: Sequence[float]) -> list[float]:
    top = max(logs)
    total = top + math.log(sum(math.exp(one - top) for one in logs))
    return [max(one - total, FLOOR) for one in logs]


def _log(share: float) -> float:
    return math.log(share) if share > 0 else FLOOR
