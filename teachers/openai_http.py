"""One request to one address over aiohttp: the lean path that online asks take.

The `openai` package costs about a millisecond of processor time a call, which bounds a run with
hundreds in flight; what is sent and understood here is the same. Redirects are not followed, since
a header would travel to another host, and only the headers named in the recipe are sent.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from teachers.credentials import Credentials
from teachers.errors import TeacherError
from teachers.openai_errors import broken, redacted, refusal

KEEP_ALIVE_S = 4.0
"""Shorter than what common servers allow (uvicorn: 5 s), so that no request meets a closing one."""


class Reply(NamedTuple):
    """What came back with status 200."""

    body: Any
    headers: Mapping[str, str]


class Connections:
    """The connections to one address, in one event loop at a time."""

    def __init__(self, url: str, held: Credentials) -> None:
        self.url = url.rstrip("/")
        self._secrets = held.secrets
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._headers["Authorization"] = f"Bearer {held.key}"
        own = {name.lower(): value for name, value in held.headers.items()}
        self._headers = {k: v for k, v in self._headers.items() if k.lower() not in own} | own
        self._proxy = _proxy(self.url)
        self._session: tuple[asyncio.AbstractEventLoop, aiohttp.ClientSession] | None = None

    async def post(self, path: str, body: Any, timeout_s: float) -> Reply:
        """Send one JSON body; `timeout_s` runs from sending it to the end of the answer.

        Raises: TeacherError without any secret in its text or its causes.
        """
        return await self._request("POST", path, json.dumps(body).encode("ascii"), timeout_s)

    async def get(self, path: str, timeout_s: float) -> Reply:
        """Read one JSON document.

        Raises: TeacherError.
        """
        return await self._request("GET", path, None, timeout_s)

    async def status(self, address: str, timeout_s: float) -> int | None:
        """The status of a GET to an address of this server; None where nobody answers in time."""
        limit = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._opened().get(
                address,
                headers=self._headers,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=limit,
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError):
            return None

    async def close(self) -> None:
        """Close the connections."""
        held, self._session = self._session, None
        if held is not None:
            await held[1].close()

    async def _request(self, method: str, path: str, data: bytes | None, timeout_s: float) -> Reply:
        try:
            async with self._opened().request(
                method,
                self.url + path,
                data=data,
                headers=self._headers,
                allow_redirects=False,
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as response:
                content = await response.read()
                status, headers = response.status, response.headers
            if status == 200:
                return Reply(json.loads(content), headers)
            found = refusal(status, headers, _parsed(content), self.url)
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError, RecursionError) as exc:
            found = broken(exc, self.url)
        # Without its cause: a server may repeat the key in the text of a refusal.
        raise _bare(redacted(found, self._secrets))

    def _opened(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None or self._session[0] is not loop:
            # The gateway bounds what is in flight; waiting here would count as the server's time.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)
            session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
            self._session = (loop, session)
        return self._session[1]


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def _bare(error: TeacherError) -> TeacherError:
    error.__suppress_context__ = True
    return error


def _proxy(url: str) -> str | None:
    """The proxy that the environment names. Not aiohttp's own way: it would read ~/.netrc too."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get(parts.scheme)
