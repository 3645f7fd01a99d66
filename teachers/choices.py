"""Which of the allowed answers a text means, if exactly one."""

import re
from collections.abc import Sequence


def match_choice(text: str, choices: Sequence[str]) -> str | None:
    """The choice that the text is or names, None when none or several fit."""
    if text in choices:
        return text
    if text.strip() in choices:
        return text.strip()
    bare = _bare(text)
    same = [choice for choice in choices if bare and _bare(choice) == bare]
    if len(same) == 1:
        return same[0]
    return _only_named(text, choices)


def _bare(text: str) -> str:
    """Lower-case words with single spaces: quotes, punctuation and underscores do not count."""
    return re.sub(r"[\W_]+", " ", text).strip().casefold()


def _only_named(text: str, choices: Sequence[str]) -> str | None:
    found: list[tuple[int, int, str]] = []
    for choice in choices:
        if not choice.strip():
            continue
        # A lone letter is too often a word ("a"), so its case has to agree.
        flags = 0 if len(choice) == 1 else re.IGNORECASE
        pattern = rf"(?<!\w){re.escape(choice)}(?!\w)"
        found += [(*hit.span(), choice) for hit in re.finditer(pattern, text, flags)]
    # "bug" inside "not a bug" is part of the longer choice, not a second answer.
    outer = {
        choice
        for start, end, choice in found
        if not any(a <= start and end <= b and b - a > end - start for a, b, _ in found)
    }
    return outer.pop() if len(outer) == 1 else None
