"""A push through the hub's own client, to a server on this machine that answers as the hub does."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from distill.errors import PrerequisiteError, RunError, UsageError
from distill.run.export.push import push


class Hub:
    """What was sent, and with which status the repository is made."""

    def __init__(self) -> None:
        self.status = 200
        self.made: dict[str, Any] = {}
        self.files: list[str] = []
        self.url = ""

    async def create(self, request: web.Request) -> web.Response:
        self.made = await request.json()
        name = f"someone/{self.made['name']}"
        return web.json_response({"url": f"{self.url}/{name}", "name": name}, status=self.status)

    async def preupload(self, request: web.Request) -> web.Response:
        given = await request.json()
        mode = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
        modes = [{"path": one["path"], **mode} for one in given["files"]]
        return web.json_response({"files": modes})

    async def commit(self, request: web.Request) -> web.Response:
        lines = [json.loads(line) for line in (await request.text()).splitlines()]
        self.files = [line["value"]["path"] for line in lines if line["key"] == "file"]
        told = {
            "commitUrl": f"{self.url}/someone/student/commit/{0:040}",
            "commitOid": "0" * 40,
            "pullRequestUrl": None,
        }
        return web.json_response({**told, "success": True})

    async def rest(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"sha": "0" * 40, "id": "someone/student", "siblings": []}, status=self.status
        )


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The server, in a thread of this process."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", "hf_local")
    served, app = Hub(), web.Application(client_max_size=2**26)
    app.router.add_post("/api/repos/create", served.create)
    app.router.add_post("/api/models/{owner}/{name}/preupload/{revision}", served.preupload)
    app.router.add_post("/api/models/{owner}/{name}/commit/{revision}", served.commit)
    app.router.add_route("*", "/{tail:.*}", served.rest)
    loop, runner = asyncio.new_event_loop(), web.AppRunner(app, access_log=None)

    async def begin() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    served.url = loop.run_until_complete(begin())
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", served.url)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield served
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("# student\n")
    return tmp_path


def test_a_student_is_uploaded_privately(hub: Hub, folder: Path) -> None:
    """The repository is made private, every file is in one commit, and the address comes back."""
    address = push(folder, "student", "model")
    assert hub.made["name"] == "student"
    assert hub.made.get("private") is True or hub.made.get("visibility") == "private"
    assert sorted(hub.files) == ["README.md", "config.json"]
    assert address == f"{hub.url}/someone/student"


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_write_is_named(hub: Hub, folder: Path, status: int) -> None:
    """Exit 3 with the line to type."""
    hub.status = status
    with pytest.raises(PrerequisiteError, match="hf auth login"):
        push(folder, "someone/student", "model")


def test_a_hub_that_cannot_be_reached(
    folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server, and no network by the user's own wish: one sentence, and the student is whole."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RunError, match="cannot be reached"):
        push(folder, "someone/student", "model")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RunError, match="whole in its folder"):
        push(folder, "someone/student", "model")
    with pytest.raises(UsageError, match="no repository"):
        push(folder, "a b/c", "model")
