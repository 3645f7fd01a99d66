"""Personal data by pattern: e-mail addresses, phone and card numbers, IP addresses.

Patterns with checks, so that an order number is no card and a version number no address; names and
postal addresses are not looked for.
"""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple

KINDS = ("email", "card", "ip", "phone")
"""In the order in which they claim their characters: a card number is no phone number."""

_PATTERNS = {
    "email": re.compile(
        r"(?<![\w.+-])[A-Za-z0-9][\w.+%-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)"
        r"{1,8}[A-Za-z]{2,24}\b"
    ),
    "card": re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)"),
    "ip": re.compile(
        r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:]|\.\d)"
    ),
    "phone": re.compile(
        r"(?<![\w.,/-])(?:\+\d{1,3}|00\d{1,3}|\(\d{2,5}\)|0\d{1,4}|\d{3})"
        r"(?:[ ./-]{0,2}\(?\d{2,5}\)?){1,5}(?![\w]|[.,]\d)"
    ),
}
_SUM = re.compile(r"\s*=\s*[<$(-]*\d")
"""What follows the left side of a sum: 20000-12000-2000=6000 is no phone number."""
_CALENDAR = re.compile(r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}$")


class Hit(NamedTuple):
    """One piece of personal data."""

    kind: str
    start: int
    end: int


def find_pii(text: str, kinds: Sequence[str] = KINDS) -> list[Hit]:
    """Returns what looks like personal data, in the order of the text, without overlaps."""
    # Every kind holds one of these; most texts hold neither.
    if "@" not in text and not _DIGIT(text) and "::" not in text:
        return []
    hits: list[Hit] = []
    for kind in KINDS:
        if kind not in kinds:
            continue
        for match in _PATTERNS[kind].finditer(text):
            start, end = match.span()
            free = all(end <= hit.start or start >= hit.end for hit in hits)
            sum_ = kind in ("card", "phone") and _SUM.match(text, end)
            if free and not sum_ and _CHECKS[kind](match[0]):
                hits.append(Hit(kind, start, end))
    return sorted(hits, key=lambda hit: hit.start)


def mask(text: str, hits: Iterable[Hit]) -> str:
    """Returns the text with each hit replaced by its kind in brackets ("[EMAIL]")."""
    parts, last = [], 0
    for hit in hits:
        parts += [text[last : hit.start], f"[{hit.kind.upper()}]"]
        last = hit.end
    return "".join([*parts, text[last:]])


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _card(found: str) -> bool:
    digits = re.sub(r"\D", "", found)
    # Issuers begin with 2 to 6; repeated digits pass the checksum and belong to nobody.
    return digits[0] in "23456" and len(set(digits)) > 1 and luhn(digits)


def _ip(found: str) -> bool:
    if set(found) <= {":"}:
        return False
    try:
        ip_address(found)
    except ValueError:
        return False
    return True


def _phone(found: str) -> bool:
    """7 to 15 digits (ITU-T E.164), written as a phone number and not as a date or an amount."""
    digits = re.sub(r"\D", "", found)
    if not 7 <= len(digits) <= 15 or _CALENDAR.match(found):
        return False
    written = found[0] in "+(" or found.startswith("0")
    groups = re.findall(r"\d+", found)
    return written or (len(groups) >= 3 and len(digits) >= 10)


_DIGIT = re.compile(r"\d").search
_CHECKS = {"email": lambda found: ".." not in found, "card": _card, "ip": _ip, "phone": _phone}
