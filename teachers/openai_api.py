"""Any endpoint that speaks the OpenAI API, through the `openai` package: chat and raw completions.

Retries are the gateway's: a 429 has to reach it. Redirects are not followed, since a header would
travel to another host; to other addresses than OpenAI's own only the headers named here are sent.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from teachers.config import OpenAITeacher
from teachers.credentials import Credentials, credentials, is_openai, urls_of
from teachers.errors import TeacherError
from teachers.openai_body import check_params, read_answer, request_body
from teachers.openai_errors import failure
from teachers.protocol import Answer, Ask

REST_S = 5.0
# The gateway bounds what is in flight; waiting for a connection would count as the server's time.
_LIMITS = httpx2.Limits(max_connections=10_000, max_keepalive_connections=1_000)
_PLAIN = frozenset({
    "host", "accept", "accept-encoding", "connection", "content-length", "content-type",
    "transfer-encoding", "user-agent",
})  # fmt: skip


@dataclass(slots=True)
class _Endpoint:
    """One address of a pool."""

    url: str
    client: openai.AsyncOpenAI
    secrets: tuple[str, ...]
    busy: int = 0
    rests_until: float = 0.0


class OpenAIAdapter:
    """A teacher behind an address, or behind several that hold the same model."""

    def __init__(
        self, config: OpenAITeacher, name: str, *, environ: Mapping[str, str] | None = None
    ) -> None:
        check_params(config)
        self._config = config
        self._name = name
        known = os.environ if environ is None else environ
        self._held = [(url, credentials(config, url, known)) for url in urls_of(config)]
        self._pool: tuple[asyncio.AbstractEventLoop, list[_Endpoint]] | None = None
        self._turn = 0
        self._limit_field = "max_tokens"

    @property
    def name(self) -> str:
        """The name that the recipe gives this teacher."""
        return self._name

    async def ask(self, ask: Ask) -> Answer:
        """Send one request and read its answer.

        Raises: TeacherError.
        """
        endpoint = self._next()
        endpoint.busy += 1
        try:
            body = await self._send(endpoint, ask)
        except TeacherError as exc:
            if exc.kind != "bad_request" or "max_completion_tokens" not in str(exc):
                raise
            # Some models behind other addresses take the newer name of the limit only.
            self._limit_field = "max_completion_tokens"
            body = await self._send(endpoint, ask)
        finally:
            endpoint.busy -= 1
        return read_answer(self._config, ask, body)

    async def close(self) -> None:
        """Close the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            for endpoint in pool[1]:
                await endpoint.client.close()

    async def _send(self, endpoint: _Endpoint, ask: Ask) -> Any:
        own = is_openai(endpoint.url)
        field = "max_completion_tokens" if own else self._limit_field
        body = request_body(self._config, ask, openai=own, limit_field=field)
        path = "/chat/completions" if self._config.chat else "/completions"
        try:
            async with asyncio.timeout(self._config.timeout_s):
                return await endpoint.client.post(path, cast_to=object, body=body)
        except Exception as exc:
            found = failure(exc, endpoint.url)
            if found.kind == "network":
                endpoint.rests_until = time.monotonic() + REST_S
            # Without its cause: a server may repeat the key in the text of a refusal.
            raise _redacted(found, endpoint.secrets) from None

    def _next(self) -> _Endpoint:
        """The next address in turn, those last that lately failed."""
        pool = self._endpoints()
        self._turn += 1
        now = time.monotonic()
        order = [pool[(self._turn + step) % len(pool)] for step in range(len(pool))]
        return min(order, key=lambda one: (max(0.0, one.rests_until - now), one.busy))

    def _endpoints(self) -> list[_Endpoint]:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._pool[0] is not loop:
            self._pool = (loop, [_endpoint(url, held) for url, held in self._held])
        return self._pool[1]


def _endpoint(url: str, held: Credentials) -> _Endpoint:
    hooks = {} if is_openai(url) else {"request": [_only(held)]}
    settings: dict[str, Any] = {
        "limits": _LIMITS, "follow_redirects": False, "event_hooks": hooks, "timeout": None,
    }  # fmt: skip
    try:
        http: httpx2.AsyncClient = openai.DefaultAioHttpClient(**settings)
    except RuntimeError:
        # aiohttp is not installed; its transport only saves time.
        http = openai.DefaultAsyncHttpx2Client(**settings)
    client = openai.AsyncOpenAI(
        api_key=held.key,
        base_url=url,
        max_retries=0,
        timeout=None,
        default_headers=dict(held.headers),
        http_client=http,
    )
    return _Endpoint(url.rstrip("/"), client, held.secrets)


def _only(held: Credentials) -> Any:
    """A hook that leaves the plain headers and our own.

    The `openai` package adds what the environment holds for OpenAI (organisation, project, custom
    headers), which is nobody else's business.
    """
    own = {name.lower(): value for name, value in held.headers.items()}
    own.setdefault("authorization", f"Bearer {held.key}")

    async def keep(request: httpx2.Request) -> None:
        for header in list(request.headers):
            if header.lower() not in _PLAIN:
                del request.headers[header]
        request.headers.update(own)

    return keep


def _redacted(error: TeacherError, secrets: tuple[str, ...]) -> TeacherError:
    text = str(error)
    for secret in secrets:
        # Shorter ones are no secrets but words ("eu"), which may stand in any text.
        if len(secret) >= 4:
            text = text.replace(secret, "[hidden]")
    return type(error)(error.kind, text, *error.args[2:])
