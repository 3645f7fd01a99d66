"""The files and batches of the OpenAI API, through the `openai` package."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from teachers.credentials import Credentials
from teachers.openai_client import OpenAIClient

MARK = "distill_batch"
"""The key in a batch's metadata that holds our own name for it."""
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
        self._client = OpenAIClient(url, held)

    async def create(self, lines: Sequence[bytes], endpoint: str, mark: str) -> RemoteBatch:
        """Upload the requests and start a batch of them.

        Raises: TeacherError.
        """
        content = b"\n".join(lines) + b"\n"
        try:
            file = await self._client.opened().files.create(
                file=(f"{mark}.jsonl", content), purpose="batch"
            )
            made = await self._client.opened().batches.create(
                input_file_id=file.id,
                endpoint=endpoint,  # type: ignore[arg-type]
                completion_window="24h",
                metadata={MARK: mark},
            )
        except Exception as exc:
            raise self._client.failure(exc) from None
        return _remote(made)

    async def find(self, mark: str) -> RemoteBatch | None:
        """The batch that carries our mark, None where there is none.

        Raises: TeacherError.
        """
        try:
            async for one in self._client.opened().batches.list(limit=100):
                if (one.metadata or {}).get(MARK) == mark:
                    return _remote(one)
        except Exception as exc:
            raise self._client.failure(exc) from None
        return None

    async def read(self, batch: str) -> RemoteBatch:
        """How a batch stands.

        Raises: TeacherError.
        """
        try:
            return _remote(await self._client.opened().batches.retrieve(batch))
        except Exception as exc:
            raise self._client.failure(exc) from None

    async def results(self, files: Iterable[str]) -> dict[str, str]:
        """By custom_id, the first result (JSON) of each request in these files.

        Raises: TeacherError.
        """
        found: dict[str, str] = {}
        for file in files:
            try:
                content = await self._client.opened().files.content(file)
            except Exception as exc:
                raise self._client.failure(exc) from None
            for name, result in _lines(content.content):
                found.setdefault(name, result)
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


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
