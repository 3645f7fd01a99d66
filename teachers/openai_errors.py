"""What a failed call means: exceptions of the `openai` package and its transports, by kind."""

import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any

import openai

from teachers.errors import AuthError, FailureKind, TeacherError

_OVERFLOW = re.compile(
    r"context.?length|maximum context|context.?window|too many tokens|prompt is too long"
    r"|exceeds? .{0,40}context|longer than the .{0,20}model", re.I
)  # fmt: skip
_FILTER = re.compile(r"content.?filter|content.?policy|content management policy", re.I)
_NO_CREDIT = re.compile(r"insufficient_quota|billing_hard_limit|credit balance", re.I)


def failure(exc: Exception, url: str) -> TeacherError:
    """The failure that this exception stands for. Its text may still hold secrets: redact it."""
    if isinstance(exc, openai.APIStatusError):
        return _status(exc, url)
    if isinstance(
        exc, json.JSONDecodeError | UnicodeDecodeError | openai.APIResponseValidationError
    ):
        return TeacherError(
            "network", f"{url}: the answer is broken off or no JSON", None, None, True
        )
    if isinstance(exc, TimeoutError):
        return TeacherError("timeout", f"{url}: no answer in time; the limit is timeout_s")
    causes = _causes(exc)
    root = causes[-1]
    shown = f"{type(root).__name__}: {root}" if str(root) else type(root).__name__
    if any(_is_refused(cause) for cause in causes):
        return TeacherError("network", f"{url}: no connection ({shown}). Is the server running?")
    return TeacherError("network", f"{url}: the connection broke ({shown})", None, None, True)


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


def _status(exc: openai.APIStatusError, url: str) -> TeacherError:
    code, said = exc.status_code, _said(exc)
    wait = retry_after_s(exc.response.headers)
    message = f"{url}: {code} {said}"
    if code in (401, 403):
        return AuthError(
            "auth", f"{message}. The key was refused; check the variable that holds it"
        )
    if code == 402 or (code == 429 and _NO_CREDIT.search(_raw(exc))):
        return AuthError("auth", f"{message}. No credit is left on this account")
    return TeacherError(_kind(code, _raw(exc)), message, wait)


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


def _raw(exc: openai.APIStatusError) -> str:
    return f"{exc.code or ''} {exc.type or ''} {exc.message}"


def _said(exc: openai.APIStatusError) -> str:
    """The server's own words, one line of at most 300 characters."""
    body: Any = exc.body
    text = body.get("message") if isinstance(body, Mapping) else None
    return " ".join(str(text or exc.message).split())[:300]


def _causes(exc: BaseException) -> list[BaseException]:
    """The exception and what it came from: the aiohttp transport calls a lost one a time-out."""
    found = [exc]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None:
        found.append(cause)
    return found


def _is_refused(exc: BaseException) -> bool:
    # By name: which HTTP package lies below is decided when the client is built.
    names = {"ConnectionRefusedError", "ClientConnectorError", "ConnectError", "gaierror"}
    return not names.isdisjoint(kind.__name__ for kind in type(exc).__mro__)
