"""The scripted teacher as an OpenAI-compatible HTTP server on 127.0.0.1, with faults on demand.

Faults are drawn by the ask's hash and how often that ask was seen, so a retry may succeed and two
servers with the same settings behave alike. The field `seed`, where sent, is the sample index.
"""

import asyncio
import hmac
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from teachers.choices import match_choice
from teachers.config import ScriptedTeacher
from teachers.protocol import Answer, Ask, Message, TokenLogprob
from teachers.scripted.batches import Batches, BatchFaults
from teachers.scripted.fine_tuning import JobFaults, Jobs
from teachers.scripted.rules import draws, raw_answer

_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')
_ERRORS = {429: "rate limit reached, try again later", 500: "the server had an error"}


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, and how often."""

    latency_s: float = 0.0
    error_rate: float = 0.0
    error_code: int = 500
    retry_after: float | None = None
    garbage_rate: float = 0.0
    logprobs: bool = False
    """False ignores requests for log-probabilities, as some servers do."""
    key: str | None = None
    """With a key, requests without it get 401."""
    echoes_key: bool = False
    """The 401 repeats the key and all headers that came, as some servers do."""
    owned_by: str = "scripted"
    """What /models says: how clients tell vLLM ("vllm") and llama.cpp ("llamacpp") apart."""
    loading_s: float = 0.0
    """All requests get 503 for so long after the first, as of a server that loads its model."""
    constrains: bool = False
    """Holds answers to the choices of `structured_outputs` or of a grammar, as those two do."""
    batches: BatchFaults = field(default_factory=BatchFaults)
    jobs: JobFaults = field(default_factory=JobFaults)


class BadRequest(ValueError):
    """A request that no OpenAI server would take."""


class Server:
    """The handlers and the counts of one server."""

    def __init__(self, config: ScriptedTeacher, faults: Faults) -> None:
        self._config = config
        self._faults = faults
        self._seen: Counter[str] = Counter()
        self._ready_at = 0.0
        self.stats: Counter[str] = Counter()
        self._batches = Batches(self._answered, faults.batches, self.stats)
        self._jobs = Jobs(faults.jobs, self.stats, self._batches.files)

    def application(self) -> web.Application:
        """The routes, ready to be served."""
        app = web.Application(client_max_size=64 * 2**20, middlewares=[self._load])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._complete)
        self._batches.add_routes(app)
        self._jobs.add_routes(app)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/health", self._health)
        app.router.add_get("/stats", self._stats)
        return app

    @web.middleware
    async def _load(self, request: web.Request, handler: Any) -> web.StreamResponse:
        now = time.monotonic()
        self._ready_at = self._ready_at or now + self._faults.loading_s
        if now < self._ready_at and request.path != "/stats":
            return self._refuse(503, "unavailable_error", "Loading model")
        response: web.StreamResponse = await handler(request)
        return response

    async def _models(self, _: web.Request) -> web.Response:
        owner = self._faults.owned_by
        model = {"id": self._config.model, "object": "model", "created": 0, "owned_by": owner}
        return web.json_response({"object": "list", "data": [model]})

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(dict(sorted(self.stats.items())))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, chat=True)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, chat=False)

    async def _serve(self, request: web.Request, *, chat: bool) -> web.StreamResponse:
        self.stats["requests"] += 1
        if not self._known(request):
            echo = f": {list(request.headers.items())}" if self._faults.echoes_key else ""
            return self._refuse(401, "invalid_api_key", f"Incorrect API key provided{echo}")
        try:
            body = await request.json()
            ask = _ask(body, chat, logprobs=self._faults.logprobs)
            ask = replace(ask, choices=_held_to(body) if self._faults.constrains else None)
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            return self._refuse(400, "invalid_request_error", f"{type(exc).__name__}: {exc}")
        if self._faults.latency_s:
            await asyncio.sleep(self._faults.latency_s)
        luck = draws(ask)
        self._seen[luck.seed] += 1
        nth = self._seen[luck.seed]
        if luck.share(f"error {nth}") < self._faults.error_rate:
            code = self._faults.error_code
            return self._refuse(code, "error", _ERRORS.get(code, "an error asked for by the test"))
        if luck.share(f"garbage {nth}") < self._faults.garbage_rate:
            return self._garble(request, luck.pick(f"garbage kind {nth}", range(4)))
        return web.json_response(self._spoken(body, ask, luck.seed, chat))

    def _spoken(self, body: Any, ask: Ask, seed: str, chat: bool) -> dict[str, Any]:
        asked = self._config.model_copy(update=_settings(body))
        answer, outcome = raw_answer(asked, ask)
        if (taught := self._jobs.answer(body.get("model"), ask)) is not None:
            answer = replace(answer, text=taught)
        if ask.choices and answer.text not in ask.choices:
            named = match_choice(answer.text, ask.choices)
            answer = replace(answer, text=named or ask.choices[0])
        self.stats[outcome] += 1
        self.stats["input_tokens"] += answer.usage.input_tokens
        self.stats["output_tokens"] += answer.usage.output_tokens
        return _body(answer, seed[:24], chat)

    def _answered(self, body: Any, chat: bool) -> tuple[int, Any]:
        """The status and body of one request of a batch."""
        try:
            ask = _ask(body, chat, logprobs=self._faults.logprobs)
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            return 400, {"error": {"message": f"{type(exc).__name__}: {exc}"}}
        return 200, self._spoken(body, ask, draws(ask).seed, chat)

    def _known(self, request: web.Request) -> bool:
        if self._faults.key is None:
            return True
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {self._faults.key}".encode())

    def _refuse(self, code: int, kind: str, message: str) -> web.Response:
        self.stats[f"error_{code}"] += 1
        headers = {}
        if self._faults.retry_after is not None and code in (429, 503):
            headers["Retry-After"] = f"{self._faults.retry_after:g}"
        error = {"message": message, "type": kind, "code": kind}
        return web.json_response({"error": error}, status=code, headers=headers)

    def _garble(self, request: web.Request, kind: int) -> web.Response:
        """Close at once, break off in the body, send what is no HTTP, or send what is no answer."""
        self.stats["garbage"] += 1
        half = b'{"choices": [{"message": {"content": "hal'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n"
        written = {0: b"", 1: head + half, 2: b"\x00\xff\x00 not http\r\n\r\n"}.get(kind)
        if written is None:
            return web.Response(body=half, content_type="application/json")
        if request.transport is not None:
            request.transport.write(written)
            request.transport.close()
        return web.Response()


def _ask(body: Any, chat: bool, *, logprobs: bool) -> Ask:
    """The ask in a request body.

    Raises: BadRequest, KeyError, TypeError for anything else than a request.
    """
    if body.get("stream"):
        raise BadRequest("streaming is not offered here")
    messages = _messages(body) if chat else (Message("user", _prompt(body["prompt"])),)
    top = (body.get("top_logprobs") if chat else body.get("logprobs")) or 0
    described = (body.get("response_format") or {}).get("json_schema") or {}
    return Ask(
        messages=messages,
        sample=int(body.get("seed") or 0),
        schema=described.get("schema"),
        top_logprobs=int(top) if logprobs else 0,
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
    )


def _held_to(body: Any) -> tuple[str, ...] | None:
    """The only answers that the request allows; None where it allows all."""
    choices = (body.get("structured_outputs") or {}).get("choice")
    if choices is None and body.get("grammar"):
        choices = [json.loads(text) for text in _LITERAL.findall(body["grammar"])]
    return tuple(choices) if choices else None


def _messages(body: Mapping[str, Any]) -> tuple[Message, ...]:
    turns = body["messages"]
    if not isinstance(turns, list) or not turns:
        raise BadRequest("messages is empty")
    for turn in turns:
        if not isinstance(turn["content"], str):
            raise BadRequest("only text content is taken here")
    return tuple(Message(turn["role"], turn["content"]) for turn in turns)


def _prompt(given: Any) -> str:
    text = given[0] if isinstance(given, list) and len(given) == 1 else given
    if not isinstance(text, str):
        raise BadRequest("prompt is not one text")
    return text


def _settings(body: Mapping[str, Any]) -> dict[str, Any]:
    stop = body.get("stop")
    model = body.get("model")
    return {
        "stop": [stop] if isinstance(stop, str) else stop,
        "model": model if isinstance(model, str) else "scripted",
        # The request says whether token probabilities are wanted.
        "logprobs": 0,
        "system": None,
    }


def _body(answer: Answer, call: str, chat: bool) -> dict[str, Any]:
    text = (
        {"message": {"role": "assistant", "content": answer.text}}
        if chat
        else {"text": answer.text}
    )
    odds = answer.logprobs
    shape = None if odds is None else {"content": _chat_odds(odds)} if chat else _odds(odds)
    usage = answer.usage
    return {
        "id": call,
        "object": "chat.completion" if chat else "text_completion",
        "created": 0,
        "model": answer.model,
        "choices": [{"index": 0, **text, "finish_reason": answer.finish, "logprobs": shape}],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        },
    }


def _chat_odds(tokens: tuple[TokenLogprob, ...]) -> list[dict[str, Any]]:
    return [
        {
            "token": item.token,
            "logprob": item.logp,
            "bytes": list(item.token.encode()),
            "top_logprobs": [
                {"token": name, "logprob": logp, "bytes": list(name.encode())}
                for name, logp in item.top
            ],
        }
        for item in tokens
    ]


def _odds(tokens: tuple[TokenLogprob, ...]) -> dict[str, Any]:
    return {
        "tokens": [item.token for item in tokens],
        "token_logprobs": [item.logp for item in tokens],
        "top_logprobs": [dict(item.top) for item in tokens],
    }


async def serve(config: ScriptedTeacher, faults: Faults, port: int) -> tuple[web.AppRunner, str]:
    """Start serving on 127.0.0.1; the runner (clean it up to stop) and the base address."""
    runner = web.AppRunner(
        Server(config, faults).application(), access_log=None, shutdown_timeout=1.0
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=1024)
    await site.start()
    bound = runner.addresses[0][1]
    return runner, f"http://127.0.0.1:{bound}/v1"
