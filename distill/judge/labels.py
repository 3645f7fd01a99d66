"""What files call a winner or a score, as one word: a, b, tie, or a number.

`winner` is always about content, never about the place in which an answer was shown.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

T = TypeVar("T")
Winner = Literal["a", "b", "tie"]
WINNERS: tuple[Winner, ...] = ("a", "b", "tie")
SWAPPED: Mapping[str, Winner] = {"a": "b", "b": "a", "tie": "tie"}

NUMBERS: Mapping[int, Winner] = {1: "a", 2: "b", 0: "tie"}
AUTO_J_NUMBERS: Mapping[int, Winner] = {0: "a", 1: "b", 2: "tie"}
"""Auto-J's files (arXiv:2310.05470) count from 0; they are known by "response 1" with a space."""

WORDS: Mapping[str, Winner] = {
    **dict.fromkeys(("a", "model_a", "response_a", "answer_a", "output_a", "assistant_a"), "a"),
    **dict.fromkeys(("response_1", "answer_1", "output_1", "response1", "first", "a>b"), "a"),
    **dict.fromkeys(("a>>b", "[[a]]", "left", "chosen"), "a"),
    **dict.fromkeys(("b", "model_b", "response_b", "answer_b", "output_b", "assistant_b"), "b"),
    **dict.fromkeys(("response_2", "answer_2", "output_2", "response2", "second", "b>a"), "b"),
    **dict.fromkeys(("b>>a", "a<b", "a<<b", "[[b]]", "right", "rejected"), "b"),
    **dict.fromkeys(("b<a", "b<<a"), "a"),
    **dict.fromkeys(("tie", "ties", "draw", "equal", "both", "neither", "same"), "tie"),
    **dict.fromkeys(("c", "[[c]]", "a=b", "b=a", "a==b", "tie (bothbad)", "both_bad"), "tie"),
}  # fmt: skip

PASSES = {
    **dict.fromkeys(("pass", "passed", "yes", "true", "correct", "good"), 1.0),
    **dict.fromkeys(("fail", "failed", "no", "false", "incorrect", "bad"), 0.0),
}
"""Pass/fail scales as numbers."""


class Unreadable(ValueError):
    """A value that is neither a verdict nor missing."""


def read_winner(value: Any, numbers: Mapping[int, Winner] = NUMBERS) -> Winner | None:
    """The winner that a cell names; None where it is missing.

    Two scores are compared; a list of verdicts counts by its majority.
    Raises: Unreadable.
    """
    if is_missing(value):
        return None
    if isinstance(value, list | tuple):
        return _of_list(value, numbers)
    if isinstance(value, str) and value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    number = number_of(value)
    if number == 1.5 and numbers is NUMBERS:
        return "tie"
    if number is not None and number in numbers:
        return numbers[int(number)]
    spaced = value.strip().lower().replace(" ", "_") if isinstance(value, str) else ""
    if spaced in WORDS:
        return WORDS[spaced]
    raise Unreadable(f"{json.dumps(value, ensure_ascii=False, default=str)[:60]} names no winner")


def read_score(value: Any) -> float | None:
    """The score that a cell holds; None where it is missing.

    Pass and yes are 1, fail and no are 0; a list counts by its majority.

    Raises: Unreadable.
    """
    if is_missing(value):
        return None
    if isinstance(value, list | tuple):
        return majority([read_score(item) for item in value])
    number = number_of(value)
    if number is None:
        number = PASSES.get(str(value).strip().lower())
    if number is None:
        raise Unreadable(f"{json.dumps(value, ensure_ascii=False, default=str)[:60]} is no score")
    return number


def majority(given: Sequence[T | None]) -> T | None:
    """What more than half of the given say; None without such a majority."""
    kept = [value for value in given if value is not None]
    if not kept:
        return None
    value, count = Counter(kept).most_common(1)[0]
    return value if 2 * count > len(kept) else None


def number_of(value: Any) -> float | None:
    """A finite number, also one written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    if isinstance(value, float) and math.isnan(value):
        return True
    return value is None or (isinstance(value, str) and value.strip().lower() in MISSING)


MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


def _of_list(value: Sequence[Any], numbers: Mapping[int, Winner]) -> Winner | None:
    scores = [number_of(item) for item in value]
    if len(value) == 2 and scores[0] is not None and scores[1] is not None:
        return "tie" if scores[0] == scores[1] else "a" if scores[0] > scores[1] else "b"
    return majority([read_winner(item, numbers) for item in value])
