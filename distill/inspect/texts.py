"""Values of any kind as text, and the few questions about them that every part asks."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from distill.rows.row import canonical_json

_ADDRESS = re.compile(r"^(?:https?://|www\.|s3://|/)\S+$")


def text_of(value: Any) -> str:
    """A value as text: lists of texts by lines, turns as "role: content", the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if is_turns(value):
        return "\n".join(f"{role}: {content}" for role, content in turns(value))
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return canonical_json(value)


def is_turns(value: Any) -> bool:
    """Whether a value is a conversation: [{role, content}] or [{from, value}]."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(turn, Mapping)
            and (("role" in turn and "content" in turn) or ("from" in turn and "value" in turn))
            for turn in value
        )
    )


def turns(value: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The (role, content) pairs of a conversation; human and gpt are user and assistant."""
    names = {"human": "user", "gpt": "assistant", "bot": "assistant"}
    found = []
    for turn in value:
        role = str(turn.get("role", turn.get("from")))
        found.append((names.get(role, role), text_of(turn.get("content", turn.get("value")))))
    return found


def label_of(value: Any) -> str | None:
    """A label as text: 1, 1.0 and "1" are one; None for what is missing."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value.strip() if isinstance(value, str) else canonical_json(value)


def is_prose(values: Sequence[Any]) -> bool:
    """Whether a column holds text to read: mostly strings with blanks in them, not addresses."""
    texts = [value for value in values if isinstance(value, str) and value.strip()]
    if not texts or len(texts) < len([value for value in values if value is not None]) / 2:
        return False
    spaced = sum(
        (" " in text.strip() or not text.isascii()) and not _ADDRESS.match(text) for text in texts
    )
    return spaced >= len(texts) / 2
