"""Token probabilities of the scripted teacher: made up, fixed by the ask, at most one in sum."""

import math
from collections.abc import Callable, Mapping, Sequence

from teachers.protocol import TokenLogprob

_OTHERS = (" the", " a", " of", " and", " to", " in", " it", " is", " for", " on")


def choice_logp(choices: Sequence[str], right: str, wrong: float) -> dict[str, float] | None:
    """The log-probability of each choice: what is not spent on being wrong is on the right one."""
    if right not in choices:
        return None
    if len(choices) == 1:
        return {choices[0]: 0.0}
    # Kept off 0 and 1, so that every choice has a finite log-probability.
    spread = min(max(wrong, 0.02), 0.95)
    rest = spread / (len(choices) - 1)
    return {choice: math.log(1 - spread if choice == right else rest) for choice in choices}


def token_logprobs(
    pieces: Sequence[str],
    top: int,
    share: Callable[[str], float],
    choice_odds: Mapping[str, float] | None,
) -> tuple[TokenLogprob, ...]:
    """The pieces with their log-probabilities and `top` alternatives each, best first."""
    if choice_odds is not None:
        ranked = sorted(choice_odds.items(), key=lambda item: (-item[1], item[0]))
        return (TokenLogprob(pieces[0], choice_odds[pieces[0]], tuple(ranked[:top])),)
    return tuple(_token(piece, top, share(f"token {n}")) for n, piece in enumerate(pieces))


def _token(piece: str, top: int, draw: float) -> TokenLogprob:
    p = 0.5 + 0.45 * draw
    others = [name for name in _OTHERS if name != piece][: top - 1]
    # Halves of nine tenths of the rest: the sum stays below one whatever `top` is.
    alternatives = [
        (name, math.log((1 - p) * 0.9 * 0.5 ** (n + 1))) for n, name in enumerate(others)
    ]
    return TokenLogprob(piece, math.log(p), ((piece, math.log(p)), *alternatives))
