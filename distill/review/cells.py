"""Values as spreadsheet cells and back, bit for bit, with nothing a spreadsheet would run.

An empty cell is a missing value. Text is itself; any other JSON value is its JSON text, and in a
column that may hold both, text that reads as JSON is written as a JSON string. A cell that a
spreadsheet could take for a formula (after spaces, line breaks or in full-width form), that begins
with an apostrophe or is an empty text, gets one apostrophe in front, and loses it on the way back.
"""

import json
import re
from typing import Any

from distill.rows.row import canonical_json

MISSING = ""
_RISKY = re.compile(r"[\s\ufeff\u200b\x00-\x1f]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n']|\Z")
SHOUTED = ("TRUE", "FALSE")
"""What spreadsheets make of booleans."""
_JSON_STARTS = tuple('"[{-0123456789tfn \t\r\n')


def escape(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if _RISKY.match(text) else text


def unescape(cell: str) -> str:
    """What `escape` was given. An apostrophe that a person typed before plain text stays."""
    return cell[1:] if cell.startswith("'") and _RISKY.match(cell[1:]) else cell


def encode(value: Any, *, text_only: bool) -> str:
    """A value as a cell; `text_only` says that the column holds nothing but text."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return escape(canonical_json(value) if not text_only and _reads_as_more(value) else value)
    return escape(canonical_json(value))


def decode(cell: str | None, *, text_only: bool) -> Any:
    """The value of a cell: None for an empty one."""
    if cell is None or cell == MISSING:
        return None
    text = unescape(cell)
    if text_only:
        return text
    if text in SHOUTED:
        return text == "TRUE"
    return json.loads(text) if _is_json(text) else text


def _reads_as_more(text: str) -> bool:
    return text in SHOUTED or _is_json(text)


def _is_json(text: str) -> bool:
    if not text.startswith(_JSON_STARTS):
        return False
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    # Only what is written back the same way counts: 1.0e5 or { "a": 1 } stay text.
    return value is not None and _canonical_or_none(value) == text


def _canonical_or_none(value: Any) -> str | None:
    try:
        return canonical_json(value)
    except ValueError:
        return None
