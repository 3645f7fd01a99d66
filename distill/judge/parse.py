"""Reads the verdict out of what a judge wrote, from its end.

Only generated text is read, never the prompt: a template that names every score would be one. The
last verdict line decides, so feedback that quotes another one, or an answer that dictates one, does
not. What is not on the scale is no verdict: never a number, never a tie.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LINE = re.compile(
    r"^[\s>*_#`-]*(?:final\s+)?(?:verdict|\[?result\]?)[\s*_`]*[:=]?[\s*_`\[(\"']*"
    r"(?P<value>\d+(?:\.\d+)?|[^\s*_`\])\"'.,;:=]+)[\s*_`\])\"'.,;]*$",
    re.IGNORECASE,
)
FEEDBACK_KEYS = ("feedback", "reason", "explanation", "critique")
VERDICT_KEYS = ("verdict", "score", "winner", "result", "rating")
LONGEST = 200_000
"""Characters from the end that are read; more cannot hold a verdict that anybody wrote."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a judge's text says."""

    value: str | None
    """As the scale writes it; None where there is no verdict on the scale."""
    feedback: str
    """The text without its verdict."""


def parse_verdict(text: str, scale: Sequence[str]) -> Parsed:
    """The verdict of a text: its last `VERDICT:` line, a JSON object, or the bare value.

    Args:
        text: What the judge wrote, without the prompt.
        scale: The allowed values as text ("1" .. "5", or "a", "b", "tie").
    """
    tail = text[-LONGEST:].strip()
    whole = _on_scale(tail, scale)
    if whole is not None:
        return Parsed(whole, "")
    if tail.startswith(("{", "```")) and (found := _json(tail, scale)) is not None:
        return found
    lines = tail.splitlines()
    for at in range(len(lines) - 1, -1, -1):
        match = LINE.match(lines[at])
        if match:
            value = _on_scale(match["value"], scale)
            return Parsed(value, "\n".join(lines[:at]).strip())
    return Parsed(None, tail)


def _on_scale(text: str, scale: Sequence[str]) -> str | None:
    """The value of the scale that a text is, whatever its case; 4.0 and 4 are one number."""
    plain = text.strip().strip("*_`\"'[]().").casefold()
    if plain.endswith(".0"):
        plain = plain[:-2]
    return next((value for value in scale if value.casefold() == plain), None)


def _json(text: str, scale: Sequence[str]) -> Parsed | None:
    """A verdict in JSON mode; None where the text is no JSON object."""
    body = text.removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    fields = {str(key).casefold(): part for key, part in value.items()}
    given = next((fields[key] for key in VERDICT_KEYS if key in fields), None)
    feedback = next((fields[key] for key in FEEDBACK_KEYS if key in fields), "")
    read = None
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        read = _on_scale(str(given), scale)
    return Parsed(read, str(feedback))
