"""Whether the servers behind a teacher can be asked: looked at apart from the asks.

A server that loads a large model refuses connections, or answers 503, for minutes. Where no address
is ready, all asks wait together for a bounded time; where others are, they go on, and the one that
failed is looked at in the background until it is ready again.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from teachers.endpoints import Endpoint, Endpoints
from teachers.errors import TeacherError
from teachers.openai_http import Connections

Standing = Literal["ready", "loading", "away"]

LOOK_S = 5.0
"""Longest that a look may take."""
LOADING_S = 600.0
"""How long a server that says it is loading is waited for, where the recipe does not say."""
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
PAUSE_GROWTH = 1.5
FRESH_S = 1.0
"""A look that found a ready server holds for so long."""


async def look(connections: Connections) -> Standing:
    """How a server stands: vLLM and llama.cpp say it under /health, others at least list models.

    Both, because llama.cpp lists its model while it loads it and Ray Serve has no /health.
    """
    root = connections.url.removesuffix("/v1")
    for address in (f"{root}/health", f"{connections.url}/models"):
        status = await connections.status(address, LOOK_S)
        if status is None:
            return "away"
        if status >= 500:
            return "loading"
        if status == 200:
            return "ready"
    return "ready"  # It answers, and offers neither.


class Health:
    """Looks at the addresses of one teacher. `longest_s` None: see `OpenAITeacher.warm_up_s`."""

    def __init__(
        self,
        endpoints: Endpoints,
        name: str,
        longest_s: float | None,
        tell: Callable[[str], None],
    ) -> None:
        self._endpoints = endpoints
        self._name = name
        self._longest_s = longest_s
        self._tell = tell
        self._watches: dict[int, asyncio.Task[None]] = {}
        self._waiting: asyncio.Task[bool] | None = None
        self._ready_at = float("-inf")
        self._gave_up: str | None = None

    def answered(self) -> None:
        """Note that a server answered: the next time that all are away is waited for anew."""
        self._gave_up = None

    def watch(self, endpoint: Endpoint) -> None:
        """Look at an address that was set aside until it is ready; its asks go elsewhere."""
        task = self._watches.get(id(endpoint))
        if endpoint.away and not _runs(task):
            self._watches[id(endpoint)] = asyncio.create_task(self._until_ready(endpoint))

    async def waited(self, error: TeacherError) -> bool:
        """Whether a server became ready after this failure, so that the ask can be sent again.

        Raises: TeacherError where none did within the time.
        """
        started = error.kind == "network" and not error.maybe_billed
        if not (started or error.kind == "server") or self._endpoints.some_ready():
            return False
        if time.monotonic() - self._ready_at < FRESH_S:
            return False
        if self._gave_up is None:
            if not _runs(self._waiting):
                self._waiting = asyncio.create_task(self._until_any_ready())
            assert self._waiting is not None
            if await asyncio.shield(self._waiting):
                return True
        if self._gave_up is not None:
            raise TeacherError("network", self._gave_up)
        return False

    async def close(self) -> None:
        """Stop looking."""
        tasks = [task for task in (*self._watches.values(), self._waiting) if task is not None]
        tasks = [task for task in tasks if _runs(task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_ready(self, endpoint: Endpoint) -> None:
        url, started = endpoint.connections.url, time.monotonic()
        while endpoint.away:
            await asyncio.sleep(max(0.0, endpoint.rests_until - time.monotonic()))
            if await look(endpoint.connections) == "ready":
                endpoint.away = False
            else:
                endpoint.rest()
        if endpoint.failures > 1:
            seconds = time.monotonic() - started
            self._tell(f"teachers.{self._name}: {url} answers again after {seconds:.0f} s")

    async def _until_any_ready(self) -> bool:
        """Whether a wait was needed and ended well."""
        found = await self._look_at_all()
        if "ready" in found:
            self._ready_at = time.monotonic()
            return False
        longest = self._longest_s
        if longest is None:
            longest = LOADING_S if "loading" in found else 0.0
        if longest <= 0:
            return False
        what = "answers that it is not ready" if "loading" in found else "does not answer yet"
        urls = ", ".join(one.connections.url for one in self._endpoints.all)
        who = f"teachers.{self._name}: {urls}"
        self._tell(f"{who} {what}; waiting up to {longest:g} s for it to load its model")
        started, pause = time.monotonic(), FIRST_PAUSE_S
        while (left := longest - (time.monotonic() - started)) > 0:
            await asyncio.sleep(min(pause, left))
            pause = min(LONGEST_PAUSE_S, pause * PAUSE_GROWTH)
            if "ready" in await self._look_at_all():
                self._tell(f"{who} is ready after {time.monotonic() - started:.0f} s")
                return True
        self._gave_up = (
            f"{who} was not ready after {longest:g} s. Is the server still loading? Give the "
            "teacher a longer warm_up_s, or run again once it answers"
        )
        return False

    async def _look_at_all(self) -> list[Standing]:
        every = self._endpoints.all
        found = await asyncio.gather(*(look(one.connections) for one in every))
        for endpoint, standing in zip(every, found, strict=True):
            if standing == "ready":
                endpoint.away = False
        return list(found)


def _runs(task: "asyncio.Task[bool] | asyncio.Task[None] | None") -> bool:
    """Whether it runs here: a teacher may be asked in one event loop after another."""
    return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()
