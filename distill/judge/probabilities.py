"""A judge's probability of every verdict, from the log-probabilities of what it wrote.

They are read at the one position where the verdicts part: the first token of the written value.
"""

import math
from collections.abc import Mapping, Sequence

from teachers.protocol import TokenLogprob


def verdict_probabilities(
    written: Sequence[TokenLogprob] | None, value: str, scale: Sequence[str]
) -> Mapping[str, float] | None:
    """Probability per value of the scale, summing to 1 over those the judge could tell.

    Tokens that begin no value count for nothing; a token that begins several counts for the first.
    None where the tokens are not told or the value is not found in them.
    """
    at = _position(written or (), value)
    if written is None or at is None:
        return None
    token = written[at]
    given = dict(token.top) | {token.token: token.logp}
    mass: dict[str, float] = dict.fromkeys(scale, 0.0)
    for text, logp in given.items():
        start = text.strip().casefold()
        named = next((v for v in scale if start and v.casefold().startswith(start)), None)
        if named is not None:
            mass[named] += math.exp(logp)
    total = math.fsum(mass.values())
    return {name: share / total for name, share in mass.items()} if total > 0 else None


def choice_probabilities(
    logp: Mapping[str, float] | None, scale: Sequence[str]
) -> Mapping[str, float] | None:
    """Probability per value of the scale, from normalised log-probabilities of its choices."""
    if logp is None:
        return None
    told = {choice.casefold(): value for choice, value in logp.items()}
    return {value: math.exp(told.get(value.casefold(), -math.inf)) for value in scale}


def expected_score(probabilities: Mapping[str, float]) -> float | None:
    """Probability-weighted mean of a scale of numbers; None for other scales."""
    try:
        return math.fsum(float(value) * p for value, p in probabilities.items())
    except ValueError:
        return None


def _position(written: Sequence[TokenLogprob], value: str) -> int | None:
    """The last token that begins the value, read from the end."""
    wanted = value.casefold()
    for at in range(len(written) - 1, -1, -1):
        start = written[at].token.strip().casefold()
        if start and wanted.startswith(start):
            rest = "".join(token.token for token in written[at:]).strip().casefold()
            if rest.startswith(wanted):
                return at
    return None
