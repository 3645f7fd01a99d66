"""Servers on loopback, and the few objects that most tests of teachers need."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from teachers import (
    Ask,
    Gateway,
    OpenAITeacher,
    ScriptedTeacher,
    Store,
    TeacherError,
    build_adapter,
    user,
)
from teachers.scripted.server import Faults, Server


@asynccontextmanager
async def _started(app: web.Application):
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@pytest.fixture
def scripted_server():
    """A context manager: the scripted teacher over HTTP; gives its address and its counts."""

    @asynccontextmanager
    async def start(faults: Faults | None = None, **fields):
        config = ScriptedTeacher(kind="scripted", **fields)
        server = Server(config, faults or Faults())
        async with _started(server.application()) as url:
            yield url, server.stats

    return start


@pytest.fixture
def handled():
    """A context manager: a server whose every POST is answered by the function given."""

    @asynccontextmanager
    async def start(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]):
        app = web.Application()
        app.router.add_post("/v1/{tail:.*}", handle)
        async with _started(app) as url:
            yield url

    return start


@pytest.fixture
def reply():
    """The JSON of a chat answer."""

    def make(text="hello", finish="stop", tokens=(5, 2), **choice) -> web.Response:
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
        message = {"role": "assistant", "content": text}
        body = {"message": message, "text": text, "finish_reason": finish, **choice}
        return web.json_response({"model": "served", "choices": [body], "usage": usage})

    return make


@pytest.fixture
def openai_config():
    """The settings of an `openai` teacher at this address."""

    def make(url, **fields) -> OpenAITeacher:
        return OpenAITeacher(kind="openai", model="m", base_url=url, **fields)

    return make


@pytest.fixture
def question():
    """A one-turn ask."""

    def make(text="What is it?", **fields) -> Ask:
        return Ask(messages=user(text), **fields)

    return make


@pytest.fixture
def gather():
    """Asks a teacher many things at once; failures come back as values."""

    async def ask_all(teacher, asks):
        return await asyncio.gather(*(teacher.ask(ask) for ask in asks), return_exceptions=True)

    return ask_all


@pytest.fixture
def store(tmp_path):
    """An empty store."""
    opened = Store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def gateway(store):
    """A teacher behind its gateway, with the store and quick retries."""

    def make(config, budget=None, **more):
        adapter = build_adapter(config, "t")
        return Gateway(
            adapter, config, name="t", store=store, budget=budget, backoff_s=0.002, **more
        )

    return make


@pytest.fixture
def kind_of():
    """The kind of a failure, else the name of what came."""

    def kind(error):
        return error.kind if isinstance(error, TeacherError) else type(error).__name__

    return kind


@pytest.fixture
def serve_model(reply):
    """A context manager: a server that reports this model in its answers, and lists it if asked."""

    @asynccontextmanager
    async def start(model: str, *, lists: bool):
        async def answered(_: web.Request) -> web.Response:
            usage = {"prompt_tokens": 5, "completion_tokens": 2}
            choice = {"message": {"content": "hello"}, "finish_reason": "stop"}
            return web.json_response({"model": model, "choices": [choice], "usage": usage})

        async def listed(_: web.Request) -> web.Response:
            return web.json_response({"data": [{"id": model}]})

        app = web.Application()
        app.router.add_post("/v1/chat/completions", answered)
        if lists:
            app.router.add_get("/v1/models", listed)
        async with _started(app) as url:
            yield url

    return start
