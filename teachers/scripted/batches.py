"""The Batch API of the scripted server: files, batches, and what can go wrong with them."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web

Trouble = Literal["", "expired", "cancelled", "half", "no_output", "duplicates", "queue_full"]
"""What happens to a batch: it ends after half of its requests (expired, cancelled), half of its
requests fail, it ends without files, its output names requests twice, the account's queue is full.
"""
HALF = 2


@dataclass(frozen=True, slots=True)
class BatchFaults:
    """What goes wrong with batches."""

    seconds: float = 0.0
    """From creation to the end."""
    looks: int = 0
    """So many times each batch is in progress when it is looked at."""
    troubles: Sequence[Trouble] = ()
    """Of the first, second ... batch; later ones have none."""
    silent: int = 0
    """So many creations are carried out and answered with an error."""


@dataclass(slots=True)
class _Batch:
    id: str
    trouble: Trouble
    input: str
    metadata: dict[str, str]
    ends_at: float
    output: str | None = None
    errors: str | None = None
    counts: tuple[int, int] = (0, 0)
    status: str = "in_progress"
    looks: int = 0


@dataclass(slots=True)
class Batches:
    """The files and batches of one server.

    `answer` turns a request body into a status and a response body.
    """

    answer: Callable[[Any, bool], tuple[int, Any]]
    faults: BatchFaults
    stats: Counter[str]
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, _Batch] = field(default_factory=dict)

    def add_routes(self, app: web.Application) -> None:
        """Serve files and batches."""
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{id}", self._retrieve)

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        given = form["file"]
        content = given.encode() if isinstance(given, str) else given.file.read()  # type: ignore[union-attr]
        name = self._keep(content)
        body = {"id": name, "object": "file", "bytes": len(content), "created_at": 0}
        return web.json_response({**body, "filename": "requests.jsonl", "purpose": "batch"})

    async def _content(self, request: web.Request) -> web.Response:
        found = self.files.get(request.match_info["id"])
        return web.Response(status=404) if found is None else web.Response(body=found)

    async def _create(self, request: web.Request) -> web.Response:
        given = await request.json()
        nth = len(self.batches)
        troubles = self.faults.troubles
        batch = _Batch(
            id=f"batch_{nth + 1}",
            trouble=troubles[nth] if nth < len(troubles) else "",
            input=given["input_file_id"],
            metadata=given.get("metadata") or {},
            ends_at=asyncio.get_running_loop().time() + self.faults.seconds,
        )
        self.batches[batch.id] = batch
        self.stats["batches"] += 1
        if nth < self.faults.silent:
            return web.json_response({"error": {"message": "bad gateway"}}, status=502)
        return web.json_response(self._shown(batch))

    async def _list(self, _: web.Request) -> web.Response:
        data = [self._shown(batch) for batch in self.batches.values()]
        return web.json_response({"object": "list", "data": data, "has_more": False})

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["id"])
        if batch is None:
            return web.json_response({"error": {"message": "no such batch"}}, status=404)
        batch.looks += 1
        ended = asyncio.get_running_loop().time() >= batch.ends_at
        ended = ended and batch.looks > self.faults.looks
        if batch.status == "in_progress" and ended:
            self._finish(batch)
        return web.json_response(self._shown(batch))

    def _finish(self, batch: _Batch) -> None:
        if batch.trouble == "queue_full":
            batch.status = "failed"
            return
        requests = [json.loads(line) for line in self.files[batch.input].splitlines() if line]
        part = requests[: len(requests) // HALF]
        done = part if batch.trouble in ("expired", "cancelled") else requests
        lines: list[bytes] = []
        faults: list[bytes] = []
        for nth, request in enumerate(done):
            status, body = self.answer(request["body"], request["url"].endswith("chat/completions"))
            if batch.trouble == "half" and nth % HALF:
                status, body = 500, {"error": {"message": "the server had an error"}}
            else:
                self.stats["batched"] += 1
            (lines if status == 200 else faults).append(_line(request, status, body))
        if batch.trouble == "expired":
            faults += [_line(request, None, None) for request in requests[len(done) :]]
        if batch.trouble == "duplicates":
            lines += [
                _line(request, 200, _second(self.answer(request["body"], True)[1]))
                for request in part
            ]
        batch.status = batch.trouble if batch.trouble in ("expired", "cancelled") else "completed"
        batch.counts = (len(lines), len(faults))
        if batch.trouble != "no_output":
            batch.output = self._keep(b"\n".join(lines)) if lines else None
            batch.errors = self._keep(b"\n".join(faults)) if faults else None

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def _shown(self, batch: _Batch) -> dict[str, Any]:
        requests = self.files[batch.input].count(b"\n")
        counts = {"total": requests, "completed": batch.counts[0], "failed": batch.counts[1]}
        fault = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
        return {
            "id": batch.id, "object": "batch", "endpoint": "/v1/chat/completions",
            "input_file_id": batch.input, "completion_window": "24h", "created_at": 0,
            "status": batch.status, "metadata": batch.metadata, "request_counts": counts,
            "output_file_id": batch.output, "error_file_id": batch.errors,
            "errors": {"object": "list", "data": [fault]} if batch.status == "failed" else None,
        }  # fmt: skip


def _line(request: Any, status: int | None, body: Any) -> bytes:
    line: dict[str, Any] = {"id": "r", "custom_id": request["custom_id"], "error": None}
    line["response"] = {"status_code": status, "request_id": "r", "body": body}
    if status is None:
        line["response"] = None
        line["error"] = {"code": "batch_expired", "message": "the batch expired before this one"}
    return json.dumps(line).encode()


def _second(body: Any) -> Any:
    body["choices"][0]["message"]["content"] = "a second answer"
    return body
