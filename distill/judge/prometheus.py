"""Rows of Prometheus (Kim et al. 2023, arXiv:2310.08491; 2024, arXiv:2405.01535).

Its sets hold either the parts of a question (`orig_instruction`, `orig_response`, ...), or only the
whole prompt with the answer `FEEDBACK [RESULT] 4` behind it; here the parts are taken out again.
"""

import re
from collections.abc import Mapping
from typing import Any

PROMPTS = ("instruction", "prompt", "input", "messages")
_LINE = r"\s*\n+###\s*"
_REFERENCE = rf"(?:{_LINE}Reference Answer[^\n:]*:\s*(?P<reference>.*?))?"
_RUBRIC = rf"{_LINE}Score Rubrics?:\s*(?P<rubric>.*?)(?:{_LINE}Feedback:.*)?\s*\Z"
ABSOLUTE = re.compile(
    rf"###\s*The instruction to evaluate:\s*(?P<instruction>.*?){_LINE}Response to evaluate:\s*"
    rf"(?P<response>.*?){_REFERENCE}{_RUBRIC}",
    re.DOTALL,
)
RELATIVE = re.compile(
    rf"###\s*(?:The )?Instruction(?: to evaluate)?:\s*(?P<instruction>.*?){_LINE}Response A:\s*"
    rf"(?P<response_A>.*?){_LINE}Response B:\s*(?P<response_B>.*?){_REFERENCE}{_RUBRIC}",
    re.DOTALL | re.IGNORECASE,
)
NAMES = {"reference": "orig_reference_answer", "rubric": "orig_criteria"}
RESULT = re.compile(
    r"\[RESULT\][\s:(\[]*(?:score|response|output)?[\s:]*([AB]|tie|\d+)[^\w<]*(?:</s>|<\|\w+\|>)?\s*\Z",
    re.IGNORECASE,
)
LEVELS = re.compile(r"orig_score(\d+)_description")


def unfolded(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record with what its prompt and its answer hold as fields of their own.

    What has a field already stays; `rubric` and `reference` are what a judge's prompt may name.
    """
    found = dict(fields)
    prompt = next((text for name in PROMPTS if (text := _prompt(fields.get(name)))), None)
    if prompt is not None:
        for name, text in _parts(prompt).items():
            found.setdefault(NAMES.get(name, f"orig_{name}"), text.strip())
    pair = "orig_response_A" in found
    if "orig_response" in found or pair:
        said = next((result(fields.get(name)) for name in ("output", "completion")), None)
        if said is not None:
            found.setdefault("orig_preference" if pair else "orig_score", said)
        for name, value in (("rubric", _rubric(found)), ("reference", _reference(found))):
            if value is not None:
                found.setdefault(name, value)
    return found


def result(text: Any) -> str | None:
    """What stands behind `[RESULT]` at the end of a text; None where nothing does."""
    hit = RESULT.search(text) if isinstance(text, str) else None
    return hit[1] if hit else None


def _parts(prompt: str) -> dict[str, str]:
    hit = ABSOLUTE.search(prompt) or RELATIVE.search(prompt)
    return {name: text for name, text in hit.groupdict().items() if text} if hit else {}


def _prompt(value: Any) -> str | None:
    """The text of a prompt of theirs, also as the last message of a conversation."""
    if isinstance(value, list):
        users = [turn for turn in value if isinstance(turn, Mapping) and turn.get("role") == "user"]
        value = users[-1].get("content") if users else None
    return value if isinstance(value, str) and "###" in value else None


def _rubric(fields: Mapping[str, Any]) -> Any:
    levels = {
        hit[1]: fields[name]
        for name in sorted(fields)
        if (hit := LEVELS.fullmatch(name)) and fields[name]
    }
    criterion = fields.get("orig_criteria")
    return {"criterion": criterion, "levels": levels} if criterion and levels else criterion


def _reference(fields: Mapping[str, Any]) -> Any:
    return fields.get("orig_reference_answer")
