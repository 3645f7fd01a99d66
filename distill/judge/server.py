"""A judge over HTTP: /grade and /compare, and the OpenAI chat shape for those who bring the prompt.

Every request but /health needs the token (Authorization: Bearer), and a Host header that names this
machine, so that no page in a browser can reach it by another name.
"""

import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Middleware

from distill.errors import DistillError
from distill.judge.judge import Judge
from teachers.errors import TeacherError
from teachers.protocol import Answer, Ask, Message

HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
MOST_BYTES = 4 * 2**20
GRADE = ("instruction", "response")
COMPARE = ("instruction", "a", "b")
ROLES = ("system", "user", "assistant")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def judge_application(judge: Judge, token: str, name: str) -> web.Application:
    """The application of one judge.

    Args:
        judge: Asked through its async methods.
        token: What callers must send.
        name: The model name told in chat answers.
    """

    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "form": judge.form.hash})

    async def grade(request: web.Request) -> web.Response:
        row = _row(await _body(request), GRADE)
        return web.json_response(asdict((await judge.agrade_batch([row]))[0]))

    async def compare(request: web.Request) -> web.Response:
        body = await _body(request)
        row, swap = _row(body, COMPARE), body.get("swap", True) is not False
        return web.json_response(asdict((await judge.acompare_batch([row], swap=swap))[0]))

    async def chat(request: web.Request) -> web.Response:
        body = await _body(request)
        answer = await judge.write(_ask(body, judge.form.max_tokens))
        return web.json_response(_completion(answer, name))

    async def models(_: web.Request) -> web.Response:
        listed = {"id": name, "object": "model", "created": 0, "owned_by": "distill"}
        return web.json_response({"object": "list", "data": [listed]})

    async def close(_: web.Application) -> None:
        await judge.aclose()

    application = web.Application(middlewares=[_guard(token)], client_max_size=MOST_BYTES)
    application.add_routes(
        [
            web.get("/health", health),
            web.get("/v1/models", models),
            web.post("/grade", grade),
            web.post("/compare", compare),
            web.post("/v1/chat/completions", chat),
        ]
    )
    application.on_cleanup.append(close)
    return application


def _guard(token: str) -> Middleware:
    """Refuses callers without the token or by another name, and says what was wrong."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.host.rsplit(":", 1)[0] if request.host.count(":") == 1 else request.host
        if host.partition("]")[0] + ("]" if "]" in host else "") not in HOSTS:
            return _refusal(403, "this server answers to 127.0.0.1 and localhost only")
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.path != "/health" and not hmac.compare_digest(given.encode(), token.encode()):
            return _refusal(401, "send the token: Authorization: Bearer TOKEN")
        try:
            return await handler(request)
        except _Wrong as wrong:
            return _refusal(400, str(wrong))
        except DistillError as error:
            return _refusal(400, error.message)
        except TeacherError as error:
            return _refusal(502, str(error))

    return guard


class _Wrong(ValueError):
    """A request that cannot be read."""


async def _body(request: web.Request) -> Mapping[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise _Wrong("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _Wrong("the body is not a JSON object")
    return body


def _row(body: Mapping[str, Any], needed: tuple[str, ...]) -> dict[str, Any]:
    if missing := [name for name in needed if not isinstance(body.get(name), str)]:
        raise _Wrong(f"the body lacks the text of {', '.join(missing)}")
    return {"rubric": None, "reference": None, "context": None, **body}


def _ask(body: Mapping[str, Any], most: int) -> Ask:
    turns = body.get("messages")
    if not isinstance(turns, list) or not turns:
        raise _Wrong("messages is not a list of turns")
    read = []
    for turn in turns:
        role = turn.get("role") if isinstance(turn, dict) else None
        if role not in ROLES or not isinstance(turn.get("content"), str):
            raise _Wrong("a message is {role: system | user | assistant, content: text}")
        read.append(Message(role, turn["content"]))
    if body.get("stream"):
        raise _Wrong("streaming is not offered")
    wanted = body.get("max_completion_tokens") or body.get("max_tokens") or most
    if not isinstance(wanted, int) or wanted < 1:
        raise _Wrong("max_tokens is not a positive number")
    return Ask(tuple(read), max_tokens=min(wanted, most), allow_truncated=True)


def _completion(answer: Answer, name: str) -> dict[str, Any]:
    usage = answer.usage
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": answer.text},
        "finish_reason": answer.finish,
    }
    return {
        "id": "judge",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name,
        "choices": [choice],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)
