"""JSON that can be written again: no NaN, no infinity, no half characters."""

import json
import math
from typing import Any, NoReturn


class BadValue(ValueError):
    """A place in a file that cannot be read. Args: what was found."""

    line: int | None = None
    more: bool = False
    """The text goes on after the first JSON value."""
    allowed: str | None = None
    fix: str | None = None


def bad(
    found: str, line: int | None = None, allowed: str | None = None, fix: str | None = None
) -> BadValue:
    """A BadValue with its place."""
    error = BadValue(found)
    error.line, error.allowed, error.fix = line, allowed, fix
    return error


def parse_json(text: str) -> Any:
    """The value of JSON text.

    Raises: BadValue also for NaN, infinities and lone surrogates, which no JSON reader need accept.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as exc:
        error = bad(f"not JSON: {exc.msg} (column {exc.colno})", exc.lineno)
        error.more = exc.msg == "Extra data"
        raise error from None
    except UnicodeEncodeError:
        raise bad("half a character (a lone surrogate)") from None
    except RecursionError:
        raise bad("nested too deeply") from None
    except BadValue:
        raise
    except ValueError as exc:  # Python refuses to convert thousands of digits
        raise bad(f"not JSON: {exc}") from None
    return value


def _refuse(name: str) -> NoReturn:
    raise bad(f"{name} is not JSON", fix="Write null for a missing value.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise bad(f"{text} is too large for a number")
    return number
