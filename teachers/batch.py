"""Asks by the Batch API, and whether an ask goes that way at all.

A result is kept before it is told, so that a batch is paid for once however often we are killed.
"""

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from teachers import effective
from teachers.batch_runner import MOST_REQUESTS, QUIET_S, BatchRunner, Queued
from teachers.batch_tables import BatchTables
from teachers.config import OpenAITeacher
from teachers.credentials import credentials, urls_of
from teachers.errors import ConfigError, TeacherError
from teachers.openai_api import OpenAIAdapter
from teachers.openai_batches import OpenAIBatches
from teachers.openai_body import Wants, read_answer, request_body
from teachers.openai_errors import refusal
from teachers.protocol import Answer, Ask
from teachers.writer import Writer

AUTO_REQUESTS = 1_000
"""`mode: auto` sends a batch where so many asks wait at once."""


class BatchDesk:
    """The batches of one teacher, whose tables lie in the store's file."""

    def __init__(
        self,
        adapter: OpenAIAdapter,
        config: OpenAITeacher,
        name: str,
        writer: Writer,
        *,
        tell: Callable[[str], None],
        quick_s: float = 1.0,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        urls = urls_of(config)
        if len(urls) > 1:
            raise ConfigError(f"teachers.{name}: mode {config.mode} takes one base_url, not a list")
        held = credentials(config, urls[0], os.environ if environ is None else environ)
        self._adapter, self._config, self._url = adapter, config, urls[0]
        endpoint = "/v1/chat/completions" if config.chat else "/v1/completions"
        self._endpoint = endpoint
        self._runner = BatchRunner(
            OpenAIBatches(urls[0], held),
            BatchTables(writer, f"{urls[0].rstrip('/')} {config.model}"),
            endpoint,
            tell=lambda text: tell(f"teachers.{name}: {text}"),
            quick_s=quick_s,
            token_limit=config.batch_tokens,
        )
        self._quick_s = quick_s
        self._sent_as: dict[str, Wants] = {}
        self._gathering: tuple[asyncio.Future[bool], list[str]] | None = None

    async def takes(self, key: str) -> bool:
        """Whether this ask goes by batch: in mode auto where many wait at the same time."""
        if self._config.mode == "batch" or self._runner.holds(key):
            return True
        if self._runner.is_refused:
            return False
        if self._gathering is None:
            self._gathering = (asyncio.get_running_loop().create_future(), [])
            task = asyncio.create_task(self._decide(*self._gathering))
            self._gathering[0].add_done_callback(lambda _, held=task: held)  # type: ignore[misc]
        decided, waiting = self._gathering
        waiting.append(key)
        return await asyncio.shield(decided)

    async def _decide(self, decided: "asyncio.Future[bool]", waiting: list[str]) -> None:
        before = -1
        while before != len(waiting) < MOST_REQUESTS:
            before = len(waiting)
            await asyncio.sleep(max(QUIET_S, self._quick_s / 2))
        self._gathering = None
        decided.set_result(len(waiting) >= AUTO_REQUESTS)

    def holds(self, key: str) -> bool:
        """Whether the ask is in a batch, or its result is there and on no record yet."""
        return self._runner.holds(key)

    async def ask(self, ask: Ask, key: str) -> Answer:
        """The answer, when its batch has ended.

        Raises: TeacherError; one that was not answered is retryable, and goes in the next batch.
        """
        wants = self._sent_as.setdefault(key, self._adapter.wants)
        found = await self._runner.result(key, lambda: self._queued(ask, key, wants))
        try:
            return self._read(ask, wants, json.loads(found))
        finally:
            self._sent_as.pop(key, None)

    def delivered(self, key: str) -> None:
        """The answer, or its failure, is on record: its result is not needed again."""
        self._runner.delivered(key)

    async def close(self) -> None:
        """Stop looking; the batches go on, and the next run takes them up."""
        await self._runner.close()

    def _queued(self, ask: Ask, key: str, wants: Wants) -> Queued:
        body = request_body(self._config, ask, wants)
        request = {"custom_id": key, "method": "POST", "url": self._endpoint, "body": body}
        # A guess at the input tokens that the account's queue counts; the budget's is a bound.
        tokens = effective.input_bound(self._config, ask) // 3
        return Queued(json.dumps(request).encode("ascii"), tokens)

    def _read(self, ask: Ask, wants: Wants, result: Mapping[str, Any]) -> Answer:
        if result.get("status") == 200:
            answer = read_answer(self._config, ask, result.get("body"))
            self._adapter.notice(ask, answer)
            return answer
        if "status" in result:
            error = refusal(int(result["status"]), {}, result.get("body"), self._url)
            if self._adapter.learn(error, wants):
                raise TeacherError("server", f"{error}; asked again without it", 0.0)
            raise error
        fault = result.get("error") or {}
        code, message = str(fault.get("code")), str(fault.get("message") or "no message")
        if code in ("batch_cancelled", "cancelled"):
            raise TeacherError("bad_request", f"{self._url}: the batch was cancelled")
        if fault.get("is_final"):
            raise TeacherError("bad_request", f"{self._url}: the batch was refused: {message}")
        raise TeacherError("server", f"{self._url}: {code}: {message}", 0.0)
