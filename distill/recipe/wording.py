"""What pydantic's error types are called in our messages."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import ErrorDetails

WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
}
_BOUNDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold at most {max_length}",
    "string_pattern_mismatch": "must match {pattern}",
}
SHOWN = 60


def found_words(value: Any) -> str:
    """A value as an error message shows it: short, and as the file would write it."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= SHOWN else f"{value[:SHOWN]}...")
        case int() | float():
            return str(value)[:SHOWN]
        case Mapping():
            return "a mapping"
        case list() | tuple():
            return f"a list of {len(value)}"
    return type(value).__name__


def rule_words(details: ErrorDetails) -> str:
    """The rule that a value breaks."""
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        return str(context["error"])
    if details["type"] in _BOUNDS:
        bounds = {
            key: f"{value:g}" if isinstance(value, float) else value
            for key, value in context.items()
        }
        return _BOUNDS[details["type"]].format(**bounds)
    text = details["msg"]
    return text[:1].lower() + text[1:]
