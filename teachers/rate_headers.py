"""What a server says is left of an account's limits: the `x-ratelimit-*` headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_S = 60.0
"""A daily limit says hours; waiting them is the 429's and Retry-After's business."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """One limit: what is left of it, out of how much, and when it is whole again."""

    left: int
    limit: int
    reset_s: float

    def wait_s(self, need: int) -> float:
        """Seconds until so much is left, if it refills evenly."""
        missing = min(need, self.limit) - self.left
        if missing <= 0 or self.limit <= self.left:
            return 0.0
        return min(LONGEST_S, missing * self.reset_s / (self.limit - self.left))


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of an account's limits; None where the server does not say."""

    requests: Allowance | None = None
    tokens: Allowance | None = None

    def requests_s(self, need: int) -> float:
        """Seconds until so many requests may be sent."""
        return self.requests.wait_s(need) if self.requests else 0.0

    def tokens_s(self, need: int) -> float:
        """Seconds until so many tokens may be used."""
        return self.tokens.wait_s(need) if self.tokens else 0.0


def read_left(headers: Mapping[str, str]) -> Left | None:
    """The allowances in the headers of a response, None where there are none."""
    requests, tokens = _allowance(headers, "requests"), _allowance(headers, "tokens")
    return None if requests is None and tokens is None else Left(requests, tokens)


def _allowance(headers: Mapping[str, str], what: str) -> Allowance | None:
    left = headers.get(f"x-ratelimit-remaining-{what}")
    if left is None:
        return None
    try:
        limit = int(headers.get(f"x-ratelimit-limit-{what}", ""))
        return Allowance(int(left), limit, seconds(headers.get(f"x-ratelimit-reset-{what}", "")))
    except ValueError:
        return None


def seconds(text: str) -> float:
    """Seconds of "1s", "6m0s", "120ms" or a plain number.

    Raises: ValueError for anything else.
    """
    parts = _PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text.strip():
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return float(text)
