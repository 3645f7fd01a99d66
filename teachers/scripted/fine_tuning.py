"""Fine-tuning jobs of the scripted server: what they learn is what was uploaded, by heart."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from teachers.protocol import Ask


@dataclass(frozen=True, slots=True)
class JobFaults:
    """What goes wrong with jobs."""

    seconds: float = 0.0
    """From creation to the end."""
    fails: int = 0
    """So many jobs fail before one succeeds."""
    silent: int = 0
    """So many creations are carried out and answered with an error."""


@dataclass(slots=True)
class _Job:
    id: str
    given: dict[str, Any]
    ends_at: float
    status: str = "running"
    model: str | None = None
    tokens: int | None = None


@dataclass(slots=True)
class Jobs:
    """The jobs of one server; `files` are those that were uploaded to it."""

    faults: JobFaults
    stats: Counter[str]
    files: Mapping[str, bytes]
    jobs: dict[str, _Job] = field(default_factory=dict)
    learned: dict[str, dict[str, str]] = field(default_factory=dict)
    """Model -> prompt -> answer."""

    def add_routes(self, app: web.Application) -> None:
        """Serve jobs."""
        app.router.add_post("/v1/fine_tuning/jobs", self._create)
        app.router.add_get("/v1/fine_tuning/jobs", self._list)
        app.router.add_get("/v1/fine_tuning/jobs/{id}", self._retrieve)

    def answer(self, model: Any, ask: Ask) -> str | None:
        """What a fine-tuned model was taught to say to this, None where it was taught nothing."""
        taught = self.learned.get(str(model))
        return taught.get(ask.messages[-1].content) if taught else None

    async def _create(self, request: web.Request) -> web.Response:
        given = await request.json()
        nth = len(self.jobs)
        ends_at = asyncio.get_running_loop().time() + self.faults.seconds
        job = _Job(f"ftjob-{nth + 1}", given, ends_at)
        self.jobs[job.id] = job
        self.stats["jobs"] += 1
        if nth < self.faults.silent:
            return web.json_response({"error": {"message": "bad gateway"}}, status=502)
        return web.json_response(self._shown(job))

    async def _list(self, _: web.Request) -> web.Response:
        data = [self._shown(job) for job in reversed(self.jobs.values())]
        return web.json_response({"object": "list", "data": data, "has_more": False})

    async def _retrieve(self, request: web.Request) -> web.Response:
        job = self.jobs.get(request.match_info["id"])
        if job is None:
            return web.json_response({"error": {"message": "no such job"}}, status=404)
        if job.status == "running" and asyncio.get_running_loop().time() >= job.ends_at:
            self._finish(job)
        return web.json_response(self._shown(job))

    def _finish(self, job: _Job) -> None:
        if list(self.jobs).index(job.id) < self.faults.fails:
            job.status = "failed"
            return
        rows = [json.loads(line) for line in self.files[job.given["training_file"]].splitlines()]
        job.model = f"ft:{job.given['model']}:scripted:{job.given.get('suffix')}:{job.id}"
        taught = ([turn["content"] for turn in row["messages"][-2:]] for row in rows)
        self.learned[job.model] = {prompt: answer for prompt, answer in taught}
        epochs = job.given["method"]["supervised"]["hyperparameters"]["n_epochs"]
        said = sum(len(turn["content"].split()) for row in rows for turn in row["messages"])
        job.status, job.tokens = "succeeded", said * int(epochs)

    def _shown(self, job: _Job) -> dict[str, Any]:
        error = {"code": "invalid_training_file", "message": "the training file is not allowed"}
        return {
            "id": job.id, "object": "fine_tuning.job", "created_at": 0, "finished_at": None,
            "model": job.given["model"], "fine_tuned_model": job.model, "status": job.status,
            "organization_id": "scripted", "result_files": [], "seed": job.given.get("seed") or 0,
            "hyperparameters": {"n_epochs": "auto"}, "metadata": job.given.get("metadata"),
            "training_file": job.given["training_file"],
            "validation_file": job.given.get("validation_file"), "trained_tokens": job.tokens,
            "error": error if job.status == "failed" else None,
        }  # fmt: skip
