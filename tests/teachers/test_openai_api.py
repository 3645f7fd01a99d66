import asyncio
import email.utils
import time

import pytest
from aiohttp import web

from teachers import AuthError, ConfigError, MissingKey, OpenAITeacher, TeacherError
from teachers.openai_api import OpenAIAdapter
from teachers.openai_errors import retry_after_s
from teachers.scripted.server import Faults


def ask_once(handled, handle, config_of, ask, environ=None, **settings):
    """One ask to a server that answers with `handle`."""

    async def main():
        async with handled(handle) as url:
            adapter = OpenAIAdapter(config_of(url, **settings), "t", environ=environ or {})
            try:
                return await adapter.ask(ask)
            finally:
                await adapter.close()

    return asyncio.run(main())


def test_only_our_headers_reach_another_address(
    handled, reply, openai_config, question, monkeypatch
):
    """What the environment holds for OpenAI stays here; named headers and the named key go out."""
    seen = []

    async def handle(request):
        seen.append(dict(request.headers))
        return reply()

    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "for-openai-only")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-mine: for-openai-only")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    ask_once(handled, handle, openai_config, question())
    environ = {"K": "sk-k", "H": "header-value"}
    named = {"api_key_env": "K", "headers_env": {"X-Team": "H"}}
    ask_once(handled, handle, openai_config, question(), environ, **named)
    assert "for-openai-only" not in str(seen)
    assert seen[0]["Authorization"] == "Bearer none"
    assert (seen[1]["Authorization"], seen[1]["x-team"]) == ("Bearer sk-k", "header-value")


def test_own_address_ignores_another_base_url_in_the_environment(monkeypatch):
    """Without base_url the key goes to OpenAI, whatever OPENAI_BASE_URL says."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")

    async def main():
        config = OpenAITeacher(kind="openai", model="m")
        adapter = OpenAIAdapter(config, "t", environ={"OPENAI_API_KEY": "sk-x"})
        url = adapter._endpoints.all[0].connections.url
        await adapter.close()
        return url

    assert asyncio.run(main()) == "https://api.openai.com/v1"


def test_missing_key_is_found_before_anything_is_sent():
    """Building the adapter without its key says which line to type."""
    with pytest.raises(MissingKey, match=r"export OPENAI_API_KEY=\.\.\."):
        OpenAIAdapter(OpenAITeacher(kind="openai", model="m"), "t", environ={})


def test_reserved_params_are_refused(openai_config):
    """A param that would go past a setting is found when the adapter is built."""
    with pytest.raises(ConfigError):
        OpenAIAdapter(openai_config("http://h/v1", params={"n": 2}), "t", environ={})


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (429, "slow down", "rate_limit"),
        (429, "insufficient_quota: check your plan", "auth"),
        (500, "oops", "server"),
        (503, "busy", "server"),
        (504, "gateway time-out", "timeout"),
        (401, "bad key", "auth"),
        (403, "not allowed", "auth"),
        (400, "This model's maximum context length is 4096 tokens", "context_overflow"),
        (400, "blocked by our content management policy", "content_filter"),
        (400, "temperature must be a number", "bad_request"),
        (422, "Unexpected fields in the request", "bad_request"),
        (404, "no such model", "bad_request"),
    ],
)
def test_statuses(handled, openai_config, question, status, message, kind):
    """Each refusal has its kind, and its message names the address and the server's words."""

    async def handle(request):
        return web.json_response({"error": {"message": message}}, status=status)

    with pytest.raises(TeacherError, match=message[:20]) as caught:
        ask_once(handled, handle, openai_config, question())
    assert caught.value.kind == kind
    assert isinstance(caught.value, AuthError) is (kind == "auth")
    assert "http://127.0.0.1" in str(caught.value)


def test_echoed_key_is_hidden(handled, openai_config, question):
    """A server that repeats the key does not get it into the message or its causes."""

    async def handle(request):
        said = f"Incorrect key: {request.headers['Authorization']}"
        return web.json_response({"error": {"message": said}}, status=401)

    with pytest.raises(AuthError) as caught:
        ask_once(
            handled, handle, openai_config, question(), {"K": "sk-secret-value"}, api_key_env="K"
        )
    assert "[hidden]" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_redirects_are_not_followed(handled, openai_config, question):
    """A redirect would carry our headers to another host; it is an error."""

    async def handle(request):
        raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/v1/chat/completions")

    with pytest.raises(TeacherError, match="307") as caught:
        ask_once(handled, handle, openai_config, question())
    assert caught.value.kind == "bad_request"


@pytest.mark.parametrize(
    "response",
    [
        {"text": "<html>hello</html>", "content_type": "text/html"},
        {"text": '{"choices": [', "content_type": "application/json"},
        {"body": b"\xff\xfe\x00", "content_type": "application/json"},
        {"text": "", "content_type": "application/json"},
    ],
)
def test_bodies_that_are_no_json(handled, openai_config, question, response):
    """A page, half a JSON, bytes or nothing at all is a broken connection that may be billed."""

    async def handle(request):
        return web.Response(**response)

    with pytest.raises(TeacherError) as caught:
        ask_once(handled, handle, openai_config, question())
    assert (caught.value.kind, caught.value.maybe_billed) == ("network", True)


def test_lost_connection_is_no_time_out(handled, openai_config, question):
    """A server that hangs up is a network failure that may be billed."""

    async def handle(request):
        request.transport.close()
        return web.Response()

    with pytest.raises(TeacherError, match="the connection broke") as caught:
        ask_once(handled, handle, openai_config, question())
    assert (caught.value.kind, caught.value.maybe_billed) == ("network", True)


def test_refused_connection_is_not_billed(openai_config, question):
    """Where no server runs nothing can have been billed."""

    async def main():
        adapter = OpenAIAdapter(openai_config("http://127.0.0.1:9/v1"), "t", environ={})
        try:
            await adapter.ask(question())
        finally:
            await adapter.close()

    with pytest.raises(TeacherError, match="no connection") as caught:
        asyncio.run(main())
    assert (caught.value.kind, caught.value.maybe_billed) == ("network", False)


def test_time_out(handled, openai_config, question):
    """A silent server is a time-out after timeout_s."""

    async def handle(request):
        await asyncio.sleep(30)

    start = time.monotonic()
    with pytest.raises(TeacherError, match="timeout_s") as caught:
        ask_once(handled, handle, openai_config, question(), timeout_s=0.1)
    assert (caught.value.kind, caught.value.maybe_billed) == ("timeout", True)
    assert time.monotonic() - start < 2


def test_retry_after_forms():
    """Seconds, milliseconds and dates are understood; nonsense is no answer."""
    assert retry_after_s({"retry-after": "1.5"}) == 1.5
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert 25 < retry_after_s({"retry-after": date}) <= 30
    assert retry_after_s({"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}) == 0.0
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None


def test_models_that_want_the_newer_limit(handled, reply, openai_config, question):
    """A server that asks for max_completion_tokens gets it, from then on at once."""
    bodies = []

    async def handle(request):
        bodies.append(await request.json())
        if "max_tokens" in bodies[-1]:
            message = "Unsupported parameter: use 'max_completion_tokens' instead"
            return web.json_response({"error": {"message": message}}, status=400)
        return reply()

    async def main():
        async with handled(handle) as url:
            adapter = OpenAIAdapter(openai_config(url), "t", environ={})
            await adapter.ask(question())
            await adapter.ask(question())
            await adapter.close()

    asyncio.run(main())
    assert [("max_tokens" in body) for body in bodies] == [True, False, False]


def test_pool_takes_turns_and_avoids_a_dead_address(scripted_server, openai_config, question):
    """Requests go round; an address that does not answer is left alone for a while."""

    async def main():
        async with scripted_server() as (one, first), scripted_server() as (two, second):
            urls = [one, "http://127.0.0.1:9/v1", two]
            adapter = OpenAIAdapter(openai_config(urls), "t", environ={})
            failed = 0
            for n in range(20):
                try:
                    await adapter.ask(question(f"q {n}"))
                except TeacherError:
                    failed += 1
            await adapter.close()
            return failed, first["answered"], second["answered"]

    failed, first, second = asyncio.run(main())
    assert failed == 1
    assert min(first, second) >= 6


def test_probabilities_over_http(scripted_server, openai_config, question):
    """Chat and raw completions bring the same token probabilities from a server that gives them."""

    async def main():
        async with scripted_server(Faults(logprobs=True)) as (url, _):
            found = []
            for chat in (True, False):
                adapter = OpenAIAdapter(openai_config(url, chat=chat), "t", environ={})
                found.append(await adapter.ask(question(top_logprobs=3)))
                await adapter.close()
            return found

    chat, raw = asyncio.run(main())
    assert chat.logprobs == raw.logprobs
    assert "".join(item.token for item in chat.logprobs) == chat.text
    assert {len(item.top) for item in chat.logprobs} == {3}
