"""Any endpoint that speaks the OpenAI API: chat and raw completions, one request an ask.

Retries are the gateway's: a 429 has to reach it. What a model refuses by name (`max_tokens`,
`temperature`) is learnt from its refusal, and what a server leaves out although it was asked for
is told.
"""

import asyncio
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from teachers.config import OpenAITeacher
from teachers.constraints import FIELDS, choice_fields, dialect_of
from teachers.credentials import credentials, is_openai, urls_of
from teachers.endpoints import Endpoints
from teachers.errors import TeacherError
from teachers.health import Health
from teachers.openai_body import Wants, check_params, read_answer, request_body, written
from teachers.openai_http import Connections, Reply
from teachers.protocol import Answer, Ask
from teachers.rate_headers import Left, read_left

MODELS_S = 5.0
_DROPPABLE = ("temperature", "top_p", "response_format", *sorted(FIELDS))
_UNSUPPORTED = re.compile(
    r"unsupported|(not|n't|isn't) support|not (allowed|permitted)|unavailable|deprecated|"
    r"only the default|un(known|recognized)",
    re.I,
)


def _unheard(_: Any) -> None:
    """Tells nobody."""


class OpenAIAdapter:
    """A teacher behind an address, or behind several that hold the same model."""

    def __init__(
        self, config: OpenAITeacher, name: str, *, environ: Mapping[str, str] | None = None
    ) -> None:
        check_params(config)
        self._config = config
        self._name = name
        known = os.environ if environ is None else environ
        held = [(url, credentials(config, url, known)) for url in urls_of(config)]
        self._endpoints = Endpoints([Connections(url, one) for url, one in held])
        own = all(is_openai(url) for url, _ in held)
        self._health = Health(
            self._endpoints,
            name,
            0.0 if own else config.warm_up_s,
            lambda text: self.tell(text),
        )
        self._wants = Wants(openai=own)
        self._listing: asyncio.Task[list[Any]] | None = None
        self._looked = own or not config.constrained
        self.tell: Callable[[str], None] = _unheard
        """Hears what a user should know of this teacher; set by the gateway."""
        self.told: Callable[[Left], None] = _unheard
        """Hears what is left of the account's limits; set by the gateway."""

    @property
    def name(self) -> str:
        """The name that the recipe gives this teacher."""
        return self._name

    @property
    def wants(self) -> Wants:
        """What this model takes, as far as its refusals have shown."""
        return self._wants

    async def ask(self, ask: Ask) -> Answer:
        """Send one request and read its answer.

        Raises: TeacherError.
        """
        if ask.choices is not None and not self._looked:
            await self._look()
        while True:
            wants = self._wants
            try:
                reply = await self._send(request_body(self._config, ask, wants))
            except TeacherError as exc:
                if not self.learn(exc, wants):
                    raise
                continue
            if (left := read_left(reply.headers)) is not None:
                self.told(left)
            if ask.choices is not None and wants.choices is not None:
                self._notice_choice(wants, ask.choices, written(self._config, reply.body))
            answer = read_answer(self._config, ask, reply.body)
            self.notice(ask, answer)
            return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._health.close()
        for endpoint in self._endpoints.all:
            await endpoint.connections.close()

    async def served_models(self) -> frozenset[str]:
        """The models that the address lists, by every name; empty where it does not say.

        OpenAI's own list says nothing about which snapshot answers, so it is not read.
        """
        if self._wants.openai:
            return frozenset()
        models = [one for one in await self._listed() if isinstance(one, Mapping)]
        names = [one.get(field) for one in models for field in ("id", "root")]
        return frozenset(name for name in names if isinstance(name, str))

    async def _listed(self) -> list[Any]:
        """What /models lists, asked once; empty where no address says."""
        if self._listing is None:
            self._listing = asyncio.create_task(self._list())
        return await asyncio.shield(self._listing)

    async def _list(self) -> list[Any]:
        for endpoint in self._endpoints.all:
            try:
                reply = await endpoint.connections.get("/models", MODELS_S)
            except TeacherError:
                continue
            models = reply.body.get("data") if isinstance(reply.body, Mapping) else None
            return list(models) if isinstance(models, list) else []
        return []

    async def _look(self) -> None:
        """Learn what kind of server this is, which decides how it is held to choices."""
        dialect = dialect_of(await self._listed())
        if not self._looked:
            self._looked = True
            self._wants = replace(self._wants, choices=dialect)

    def learn(self, error: TeacherError, sent: Wants) -> bool:
        """Whether this refusal says how to ask instead; then the next body is made that way."""
        text = str(error)
        if error.kind != "bad_request":
            return False
        if "max_completion_tokens" in text and sent.limit_field == "max_tokens":
            self._wants = self._wants.limited_by("max_completion_tokens")
            return True
        for field in _DROPPABLE:
            if field in text and field not in sent.dropped and _UNSUPPORTED.search(text):
                if field not in self._wants.dropped:
                    self._wants = self._wants.without(field)
                    self.tell(f"teachers.{self._name}: {_refuses(field, self._config.model)}")
                return True
        return False

    def notice(self, ask: Ask, answer: Answer) -> None:
        """Tell where the server left out what was asked of it."""
        asked = ask.schema is not None and "response_format" not in self._wants.dropped
        if (
            asked
            and self._config.constrained
            and answer.finish == "stop"
            and not _is_json(answer.text)
        ):
            self.tell(
                f"teachers.{self._name}: the server ignores response_format: the JSON that was "
                "asked for came as free text. Answers are checked here and asked again where they "
                "do not fit, which costs more"
            )

    def _notice_choice(self, wants: Wants, choices: tuple[str, ...], text: str) -> None:
        assert wants.choices is not None
        sent = choice_fields(wants.choices, choices).keys() - wants.dropped
        if sent and text.strip() and text.strip() not in choices:
            self.tell(
                f"teachers.{self._name}: the server ignores {' and '.join(sorted(sent))}: "
                "an answer is none of the choices that it was held to. Answers are checked here "
                "and asked again where they do not fit, which costs more"
            )

    async def _send(self, body: Mapping[str, Any]) -> Reply:
        path = "/chat/completions" if self._config.chat else "/completions"
        while True:
            endpoint = self._endpoints.next()
            endpoint.busy += 1
            started = time.monotonic()
            try:
                reply = await endpoint.connections.post(path, body, self._config.timeout_s)
            except TeacherError as exc:
                found = self._endpoints.failed(endpoint, exc)
                self._health.watch(endpoint)
            else:
                self._endpoints.answered(endpoint, time.monotonic() - started)
                self._health.answered()
                return reply
            finally:
                endpoint.busy -= 1
            if self._wants.openai or not await self._health.waited(found):
                raise found from None


def _refuses(field: str, model: str) -> str:
    checked = field == "response_format" or field in FIELDS
    instead = "answers are checked here" if checked else "its default holds"
    return f"{model} refuses {field}; it is asked without it and {instead}"


def _is_json(text: str) -> bool:
    text = text.strip()
    if text.startswith("```"):
        return True
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
