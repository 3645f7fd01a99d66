"""Whether rows are written alike: types and gaps of each column, features most texts share."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distill.inspect.view import View
from distill.inspect.workplace import Workplace

MOSTLY, RARELY = 0.9, 0.1
"""A feature of more (or fewer) texts than this makes the others the odd ones."""
LEAST = 20
"""Texts from which a habit is spoken of."""
SHOWN = 1000

_BULLET = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s", re.M)
_HEADING = re.compile(r"^#{1,6} ", re.M)
_TAG = re.compile(r"</?(?:p|div|br|span|a|b|i|li|ul|table|html|script)\b[^>]{0,200}>", re.I)
_MOJIBAKE = re.compile("\u00c3[\u0080-\u00bf]|\u00e2\u20ac|\ufffd|\u00c2[\u00a0-\u00bf]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def _is_json(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _begins_large(text: str) -> bool | None:
    return text[:1].isupper() if text[:1].isalpha() else None


FEATURES: Mapping[str, Callable[[str], bool | None]] = {
    "JSON": _is_json,
    "code block": lambda text: "```" in text,
    "bullets": lambda text: bool(_BULLET.search(text)),
    "heading": lambda text: bool(_HEADING.search(text)),
    "bold": lambda text: "**" in text,
    "final answer after ####": lambda text: "#### " in text,
    "number only": lambda text: text.replace(",", "").replace(".", "", 1).lstrip("-").isdigit(),
    "begins with a capital": _begins_large,
    "ends a sentence": lambda text: text.endswith((".", "!", "?", "\u3002")),
    "several lines": lambda text: "\n" in text,
}
"""What an answer may have or not (None: cannot be said); the odd ones out are named."""

FAULTS: Mapping[str, Callable[[str], bool]] = {
    "HTML tags": lambda text: "<" in text and bool(_TAG.search(text)),
    "broken encoding": lambda text: not text.isascii() and bool(_MOJIBAKE.search(text)),
    "control characters": lambda text: not text.isprintable() and bool(_CONTROL.search(text)),
    "white space around": lambda text: text != text.strip(),
}
"""What no text should have."""


def measure_format(view: View, place: Workplace) -> dict[str, Any]:
    """{columns: {NAME: {types, missing}}, features: {...}, faults: {...}}.

    A feature is {share, rule, odd: count, rows}: `rule` is "with" or "without" where nearly all
    texts agree, and `rows` are the others.
    """
    sides = [side for side in view.answers if any(side)]
    texts = [text for side in sides or [view.inputs] for text in side]
    owners = view.ids * max(1, len(sides))
    has = place.each(_features, [text.strip() for text in texts])
    features = {
        name: _feature(owners, [one[at] if one else None for one in has])
        for at, name in enumerate(FEATURES)
    }
    found = [place.each(_faults, side) for side in (view.inputs, *sides)]
    faults = {name: _rows(view, found, at) for at, name in enumerate(FAULTS)}
    return {
        "of": "output" if sides else "input",
        "columns": _columns(view),
        "features": features,
        "faults": faults,
    }


def _features(text: str) -> tuple[bool | None, ...] | None:
    return tuple(test(text) for test in FEATURES.values()) if text else None


def _faults(text: str) -> tuple[bool, ...]:
    return tuple(test(text) for test in FAULTS.values())


def _rows(view: View, found: Sequence[Sequence[tuple[bool, ...]]], at: int) -> dict[str, Any]:
    rows = [id for place, id in enumerate(view.ids) if any(one[place][at] for one in found)]
    return {"count": len(rows), "rows": rows}


def _feature(owners: Sequence[str], has: Sequence[bool | None]) -> dict[str, Any]:
    known = [(id, one) for id, one in zip(owners, has, strict=True) if one is not None]
    share = sum(one for _, one in known) / len(known) if known else 0.0
    rule = None
    if len(known) >= LEAST:
        rule = "with" if share >= MOSTLY else "without" if share <= RARELY else None
    odd = list(dict.fromkeys(id for id, one in known if rule and one != (rule == "with")))
    return {"share": share, "rule": rule, "odd": len(odd), "rows": odd[:SHOWN]}


def _columns(view: View) -> dict[str, Any]:
    """Per column: the types of its values, and how many rows lack it."""
    names = dict.fromkeys(name for item in view.items for name in item.fields)
    found = {}
    for name in names:
        values = [item.fields.get(name) for item in view.items]
        types = Counter(type(value).__name__ for value in values if value is not None)
        empty = sum(value is None or value == "" for value in values)
        found[name] = {
            "types": dict(types.most_common()),
            "missing": empty,
            "different": len(
                {value if isinstance(value, str) else repr(value) for value in values}
            ),
        }
    return found
