"""Did you mean ...?"""

from collections.abc import Iterable

from rapidfuzz import fuzz, process, utils

CLOSE_ENOUGH = 65.0
"""Of 100: `lenght` scores 83 against length, `batchsize` 71 against batch."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known name most like `word`, or None where nothing is near."""
    found = process.extractOne(
        word,
        sorted(known),
        scorer=fuzz.ratio,
        processor=utils.default_process,
        score_cutoff=CLOSE_ENOUGH,
    )
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The sentence for an error message, or None where nothing is near."""
    near = closest(word, known)
    return f"Did you mean {near!r}?" if near and near != word else None
