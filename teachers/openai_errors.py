"""What a failed call means: refusals by status and body, broken connections by exception."""

import asyncio
import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any

from teachers.errors import AuthError, FailureKind, TeacherError

_OVERFLOW = re.compile(
    r"context.?length|maximum context|context.?window|too many tokens|prompt is too long"
    r"|exceeds? .{0,40}context|longer than the .{0,20}model", re.I
)  # fmt: skip
_FILTER = re.compile(r"content.?filter|content.?policy|content management policy", re.I)
_NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|credit balance", re.I)

# By name: which HTTP package lies below is its client's business.
_REFUSED = frozenset({"ConnectionRefusedError", "ClientConnectorError", "ConnectError", "gaierror"})


def refusal(code: int, headers: Mapping[str, str], body: Any, url: str) -> TeacherError:
    """The failure that a status other than 200 stands for. Its text may hold secrets: redact it.

    `body` is the parsed JSON, or the text where it is none.
    """
    error = body.get("error", body) if isinstance(body, Mapping) else body
    raw = json.dumps(error) if isinstance(error, Mapping) else str(error)
    message = f"{url}: {code} {_said(error)}"
    if code in (401, 403):
        return AuthError(
            "auth", f"{message}. The key was refused; check the variable that holds it"
        )
    if code == 402 or (code == 429 and _NO_CREDIT.search(raw)):
        return AuthError("auth", f"{message}. No credit is left on this account")
    return TeacherError(_kind(code, raw), message, retry_after_s(headers))


def broken(exc: BaseException, url: str) -> TeacherError:
    """The failure that an exception of the connection stands for."""
    if isinstance(exc, ValueError):
        return TeacherError(
            "network", f"{url}: the answer is broken off or no JSON", None, None, True
        )
    causes = _causes(exc)
    if any(_is_refused(cause) for cause in causes):
        return TeacherError(
            "network",
            f"{url}: no connection ({_shown(causes)}). Is the server running? "
            "One that is still loading its model is waited for with warm_up_s",
        )
    if isinstance(exc, TimeoutError | asyncio.TimeoutError):
        return TeacherError("timeout", f"{url}: no answer in time; the limit is timeout_s")
    return TeacherError(
        "network", f"{url}: the connection broke ({_shown(causes)})", None, None, True
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by the headers of a refusal, None where they do not say."""
    millis = headers.get("retry-after-ms")
    value = headers.get("retry-after")
    try:
        if millis:
            return max(0.0, float(millis) / 1000)
        if value:
            return max(0.0, float(value))
    except ValueError:
        pass
    if not value:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, moment.timestamp() - time.time())


def redacted(error: TeacherError, secrets: tuple[str, ...]) -> TeacherError:
    """The same failure without the secrets that a server may repeat in its text."""
    text = str(error)
    for secret in secrets:
        # Shorter ones are no secrets but words ("eu"), which may stand in any text.
        if len(secret) >= 4:
            text = text.replace(secret, "[hidden]")
    return type(error)(error.kind, text, *error.args[2:])


def _kind(code: int, text: str) -> FailureKind:
    if code == 429:
        return "rate_limit"
    if code in (408, 504):
        return "timeout"
    if code >= 500 or code in (409, 425):
        return "server"
    if code == 413 or _OVERFLOW.search(text):
        return "context_overflow"
    if _FILTER.search(text):
        return "content_filter"
    return "bad_request"


def _said(error: Any) -> str:
    """The server's own words, one line of at most 300 characters."""
    text = error
    if isinstance(error, Mapping):
        text = error.get("message") or error.get("detail") or json.dumps(error)
    return " ".join(str(text or "").split())[:300]


def _causes(exc: BaseException) -> list[BaseException]:
    """The exception and what it came from: some transports call a lost connection a time-out."""
    found = [exc]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None:
        found.append(cause)
    return found


def _shown(causes: list[BaseException]) -> str:
    root = causes[-1]
    return f"{type(root).__name__}: {root}" if str(root) else type(root).__name__


def _is_refused(exc: BaseException) -> bool:
    return not _REFUSED.isdisjoint(kind.__name__ for kind in type(exc).__mro__)
