"""What files call a winner or a score, as one word: a, b, tie, or a number.

`winner` is always about content, never about the place in which an answer was shown.
"""

import json
import math
import re
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
    **dict.fromkeys(("first", "left", "chosen", "a>b", "a>>b", "b<a", "b<<a"), "a"),
    **dict.fromkeys(("second", "right", "rejected", "b>a", "b>>a", "a<b", "a<<b"), "b"),
    **dict.fromkeys(("tie", "ties", "tied", "draw", "equal", "both", "neither", "same"), "tie"),
    **dict.fromkeys(("c", "a=b", "b=a", "a==b", "both_bad", "both_good", "bothbad"), "tie"),
}
NAMED = re.compile(
    r"(?:the_)?(?:(?:model|response|answer|output|assistant|option|candidate|text|summary|"
    r"completion|system)_?)?(?P<side>[ab12])(?:_(?:wins|is_(?:the_)?(?:better|best)|better))?"
)
"""A side by its letter or number, alone or behind what it is: "Response A", "model_1", "1"."""
BETTER = re.compile(
    r"(?:overall_|final_)?(?:winner|decision|verdict|preference|preferred|choice|answer|better|best)"
    r"(?:_(?:response|answer|output|assistant|model|one))?(?:_is)?[:=_]*"
    rf"{NAMED.pattern}"
)
"""A side behind what it is called: "Winner: A", "The better response is B" without its article."""
BRACKETED = re.compile(r"\((?P<inside>[ab12])\)|\[+(?P<marked>[^\[\]]+)\]+")
TIES = re.compile(r"(?:tie|draw)_?\([a-z_ ]+\)")
"""A tie and why, as FastChat writes it: "tie (bothbad)"."""

PASSES = {
    **dict.fromkeys(("pass", "passed", "yes", "true", "correct", "good"), 1.0),
    **dict.fromkeys(("fail", "failed", "no", "false", "incorrect", "bad"), 0.0),
}
"""Pass/fail scales as numbers."""


OUT_OF = re.compile(
    r"(?:(?:(?:overall|final|total)[\s_-]+)?(?:score|rating|grade)\s*[:=]?\s*)?"
    r"(?P<got>-?\d+(?:\.\d+)?)(?:\s*(?:/|out of)\s*(?P<most>\d+))?",
    re.IGNORECASE,
)
"""A score with its name or the most that there is: "Score: 4", "4/5", "8 out of 10"."""


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
    number = number_of(value)
    if number is not None and number in numbers:
        return numbers[int(number)]
    if number is not None and numbers is NUMBERS and 1 < number < 2:  # AlpacaEval's weighted ones
        return "tie" if number == 1.5 else "a" if number < 1.5 else "b"
    if number is None and isinstance(value, str) and (word := _word(value)) is not None:
        return word
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
    if number is None and isinstance(value, str):
        number = _out_of(value)
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


def _word(value: str) -> Winner | None:
    """The winner that a text names, whatever its case and marks; None for anything else."""
    text = re.sub(r"[\s_-]+", "_", value.strip().strip("\"'*`.!:").strip().lower())
    text = re.sub(r"_?([<>=]+)_?", r"\1", text)
    if TIES.fullmatch(text):
        return "tie"
    text = BRACKETED.sub(lambda hit: hit["inside"] or hit["marked"], text).strip("_")
    if text in WORDS:
        return WORDS[text]
    found = NAMED.fullmatch(text) or BETTER.fullmatch(text)
    return None if found is None else "a" if found["side"] in "a1" else "b"


def _out_of(value: str) -> float | None:
    found = OUT_OF.fullmatch(value.strip().strip("\"'*`[]().!").strip())
    if found is None or (found["most"] and float(found["got"]) > float(found["most"])):
        return None
    return float(found["got"])


def _of_list(value: Sequence[Any], numbers: Mapping[int, Winner]) -> Winner | None:
    scores = [number_of(item) for item in value]
    if len(value) == 2 and scores[0] is not None and scores[1] is not None:
        return "tie" if scores[0] == scores[1] else "a" if scores[0] > scores[1] else "b"
    return majority([read_winner(item, numbers) for item in value])
