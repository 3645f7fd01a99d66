"""One `openai` client for one address: our headers only, and errors without secrets."""

import asyncio
from typing import Any

import httpx2
import openai

from teachers.credentials import Credentials, is_openai
from teachers.errors import TeacherError
from teachers.openai_errors import broken, redacted, refusal

TIMEOUT_S = 300.0
_PLAIN = frozenset({
    "host", "accept", "accept-encoding", "connection", "content-length", "content-type",
    "transfer-encoding", "user-agent",
})  # fmt: skip


class OpenAIClient:
    """Opens the `openai` package's client in whichever event loop it is asked from."""

    def __init__(self, url: str, held: Credentials) -> None:
        self.url = url.rstrip("/")
        self._held = held
        self._client: tuple[asyncio.AbstractEventLoop, openai.AsyncOpenAI] | None = None

    def opened(self) -> openai.AsyncOpenAI:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._client[0] is not loop:
            hooks = {} if is_openai(self.url) else {"request": [_only(self._held)]}
            client = openai.AsyncOpenAI(
                api_key=self._held.key,
                base_url=self.url,
                max_retries=0,
                timeout=TIMEOUT_S,
                default_headers=dict(self._held.headers),
                http_client=openai.DefaultAsyncHttpxClient(
                    follow_redirects=False, event_hooks=hooks, timeout=TIMEOUT_S
                ),
            )
            self._client = (loop, client)
        return self._client[1]

    def failure(self, exc: Exception) -> TeacherError:
        """What went wrong in a call, without what must not be shown."""
        if isinstance(exc, openai.APIStatusError):
            body = exc.body if exc.body is not None else exc.message
            found = refusal(exc.status_code, exc.response.headers, body, self.url)
        else:
            found = broken(exc, self.url)
        return redacted(found, self._held.secrets)

    async def close(self) -> None:
        """Close the connections."""
        held, self._client = self._client, None
        if held is not None:
            await held[1].close()


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
