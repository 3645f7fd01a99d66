"""The files and batches of the OpenAI API, through the `openai` package."""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import openai

from teachers.credentials import Credentials, is_openai
from teachers.errors import TeacherError
from teachers.openai_errors import broken, redacted, refusal

MARK = "distill_batch"
"""The key in a batch's metadata that holds our own name for it."""
TIMEOUT_S = 300.0
_PLAIN = frozenset({
    "host", "accept", "accept-encoding", "connection", "content-length", "content-type",
    "transfer-encoding", "user-agent",
})  # fmt: skip
_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as the server tells of it."""

    id: str
    status: str
    total: int
    finished: int
    """Requests that were answered or failed."""
    files: tuple[str, ...]
    """Output and error files, where there are any yet."""
    faults: tuple[tuple[str, str], ...]
    """Code and message of what was wrong with the batch as a whole."""

    @property
    def is_ended(self) -> bool:
        """Whether nothing more will come."""
        return self.status in _ENDED


class OpenAIBatches:
    """The Batch API of one address."""

    def __init__(self, url: str, held: Credentials) -> None:
        self.url = url.rstrip("/")
        self._held = held
        self._client: tuple[asyncio.AbstractEventLoop, openai.AsyncOpenAI] | None = None

    async def create(self, lines: Sequence[bytes], endpoint: str, mark: str) -> RemoteBatch:
        """Upload the requests and start a batch of them.

        Raises: TeacherError.
        """
        content = b"\n".join(lines) + b"\n"
        try:
            file = await self._opened().files.create(
                file=(f"{mark}.jsonl", content), purpose="batch"
            )
            made = await self._opened().batches.create(
                input_file_id=file.id,
                endpoint=endpoint,  # type: ignore[arg-type]
                completion_window="24h",
                metadata={MARK: mark},
            )
        except Exception as exc:
            raise self._failure(exc) from None
        return _remote(made)

    async def find(self, mark: str) -> RemoteBatch | None:
        """The batch that carries our mark, None where there is none.

        Raises: TeacherError.
        """
        try:
            async for one in self._opened().batches.list(limit=100):
                if (one.metadata or {}).get(MARK) == mark:
                    return _remote(one)
        except Exception as exc:
            raise self._failure(exc) from None
        return None

    async def read(self, batch: str) -> RemoteBatch:
        """How a batch stands.

        Raises: TeacherError.
        """
        try:
            return _remote(await self._opened().batches.retrieve(batch))
        except Exception as exc:
            raise self._failure(exc) from None

    async def results(self, files: Iterable[str]) -> dict[str, str]:
        """By custom_id, the first result (JSON) of each request in these files.

        Raises: TeacherError.
        """
        found: dict[str, str] = {}
        for file in files:
            try:
                content = await self._opened().files.content(file)
            except Exception as exc:
                raise self._failure(exc) from None
            for name, result in _lines(content.content):
                found.setdefault(name, result)
        return found

    async def close(self) -> None:
        """Close the connections."""
        held, self._client = self._client, None
        if held is not None:
            await held[1].close()

    def _failure(self, exc: Exception) -> TeacherError:
        if isinstance(exc, openai.APIStatusError):
            body = exc.body if exc.body is not None else exc.message
            found = refusal(exc.status_code, exc.response.headers, body, self.url)
        else:
            found = broken(exc, self.url)
        return redacted(found, self._held.secrets)

    def _opened(self) -> openai.AsyncOpenAI:
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


def _lines(content: bytes) -> Iterator[tuple[str, str]]:
    for line in content.splitlines():
        try:
            item = json.loads(line)
            name = item["custom_id"]
        except (ValueError, KeyError, TypeError):
            continue  # its request counts as one without a result
        response = item.get("response") or {}
        if item.get("error") is None and "status_code" in response:
            kept = {"status": response["status_code"], "body": response.get("body")}
        else:
            kept = {"error": item.get("error") or {"code": "no_response"}}
        yield str(name), json.dumps(kept)


def _remote(batch: Any) -> RemoteBatch:
    counts = batch.request_counts
    files = (batch.output_file_id, batch.error_file_id)
    faults = (batch.errors.data if batch.errors else None) or ()
    return RemoteBatch(
        id=batch.id,
        status=batch.status,
        total=counts.total if counts else 0,
        finished=counts.completed + counts.failed if counts else 0,
        files=tuple(file for file in files if file),
        faults=tuple((str(one.code), str(one.message)) for one in faults),
    )


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
