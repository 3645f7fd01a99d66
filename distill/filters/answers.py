"""What the answer of a user's function means for a row."""

from typing import Any, NamedTuple


class Said(NamedTuple):
    """What a function said of a row."""

    keep: bool
    reason: str | None
    score: float | None


def read_answer(answer: Any, least: float | None) -> Said:
    """Returns what a function's answer means.

    True or None keeps, False drops; text drops with that reason; a number is a score that `least`
    is compared with (1 counts as True where there is no `least`); a tuple is (keep or score,
    reason) or (keep, reason, score). Raises: TypeError for anything else.
    """
    match answer:
        case None:
            return Said(True, None, None)
        case bool():
            return Said(answer, None, float(answer))
        case str():
            return Said(not answer, answer or None, None)
        case int() | float():
            score = float(answer)
            return Said(score >= (0.5 if least is None else least), None, score)
        case (first, reason) if reason is None or isinstance(reason, str):
            said = read_answer(first, least)
            return said._replace(reason=reason if not said.keep else None)
        case (bool() as keep, reason, score) if reason is None or isinstance(reason, str):
            number = None if score is None else float(score)
            keep = keep if least is None or number is None else number >= least
            return Said(keep, None if keep else reason, number)
    raise TypeError(f"{type(answer).__name__} is no answer")
