"""A dataset goes to the hub: what is sent, what stays, what is said where it cannot work."""

import asyncio
import base64
import contextlib
import json
import threading

import pytest
from aiohttp import web


@contextlib.contextmanager
def hub():
    """A hub on loopback that keeps what it is sent."""
    kept = {"repos": [], "files": {}, "tokens": set()}

    async def create(request):
        kept["repos"].append(await request.json())
        kept["tokens"].add(request.headers.get("Authorization"))
        return web.json_response({"url": f"{request.url.origin()}/datasets/me/tickets"})

    async def preupload(request):
        files = (await request.json())["files"]
        return web.json_response(
            {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                       for f in files]}
        )  # fmt: skip

    async def commit(request):
        for line in (await request.read()).splitlines():
            part = json.loads(line)
            if part["key"] == "file":
                kept["files"][part["value"]["path"]] = base64.b64decode(part["value"]["content"])
        url = f"{request.url.origin()}/datasets/me/tickets/commit/{'0' * 40}"
        return web.json_response({"commitUrl": url, "commitOid": "0" * 40, "hookOutput": ""})

    async def anything(request):
        return web.json_response({"id": "me/tickets", "sha": "0" * 40, "siblings": []})

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/api/repos/create", create)
    app.router.add_post("/api/datasets/me/tickets/preupload/main", preupload)
    app.router.add_post("/api/datasets/me/tickets/commit/main", commit)
    app.router.add_route("*", "/{rest:.*}", anything)
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(app, shutdown_timeout=0.1)

    async def begin():
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    url = loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield url, kept
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_push(project, tmp_path):
    """The files of the newest version, privately; neither rejected rows nor the token in a file."""
    project.write_project(tmp_path)
    with hub() as (url, kept):
        env = {"HF_ENDPOINT": url, "HF_TOKEN": "hf_secret", "HF_HUB_OFFLINE": "0",
               "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home")}  # fmt: skip
        said = project.finish(
            project.start("generate", "recipe.yaml", "--push", "me/tickets", "--json",
                          cwd=tmp_path, **env)
        )  # fmt: skip
        assert said.code == 0, said.err + said.out
        assert said.json["pushed"]
    [made] = kept["repos"]
    assert (made["name"], made["type"], made["visibility"]) == ("tickets", "dataset", "private")
    assert kept["tokens"] == {"Bearer hf_secret"}
    dataset = tmp_path / "runs/tiny/dataset"
    assert set(kept["files"]) == {
        "README.md", "dataset_info.json", "openai.jsonl",
        "train.jsonl", "train.parquet", "val.jsonl", "val.parquet",
    }  # fmt: skip
    assert kept["files"]["train.jsonl"] == (dataset / "train.jsonl").read_bytes()
    assert not any(
        b"hf_secret" in path.read_bytes()
        for path in (tmp_path / "runs").rglob("*")
        if path.is_file()
    )


@pytest.mark.parametrize("missing", ["package", "token"])
def test_push_is_refused_before_anything_is_paid(project, tmp_path, monkeypatch, missing):
    """Without the extra or a token: exit 3 with the line to type, and no run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    project.write_project(tmp_path)
    if missing == "package":
        monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    else:
        import huggingface_hub

        monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    said = project.command("generate", "recipe.yaml", "--push", "me/x")
    assert said.code == 3
    line = "pip install 'distill-kit[hub]'" if missing == "package" else "export HF_TOKEN="
    assert line in said.err
    assert not (tmp_path / "runs").exists()
