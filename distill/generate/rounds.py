"""How many candidates a round has. Depends on the recipe and on earlier rounds, never on timing."""

import math

SMALLEST = 20
LARGEST = 2000
"""Bounds memory, and the time until something can be seen."""
GROWTH_ROUNDS = 8
"""A recipe that grows from its own accepted rows needs several rounds to do so."""
LEAST_YIELD = 0.05


def round_size(
    target: int | None,
    ceiling: int,
    *,
    accepted: int,
    tried: int,
    grows: bool,
    short: int | None = None,
) -> int:
    """Returns the size of the next round, before the ceiling cuts it.

    Args:
        target: Accepted rows wanted; None asks for all candidates.
        ceiling: Most candidates in all rounds.
        accepted: So far.
        tried: Candidates so far.
        grows: Whether candidates are drawn from accepted rows.
        short: Candidates that the short cells need, where that is known.
    """
    wanted = ceiling if target is None else target
    if target is None:
        size = LARGEST
    elif tried == 0:
        size = _up(1.2 * target)
    elif short is not None:
        size = short
    else:
        size = _up(1.1 * (target - accepted) / max(accepted / tried, LEAST_YIELD))
    if grows:
        size = min(size, _up(wanted / GROWTH_ROUNDS))
    return min(max(size, SMALLEST), LARGEST)


def _up(size: float) -> int:
    # 880.0000000000001 rows are 880.
    return math.ceil(round(size, 6))
