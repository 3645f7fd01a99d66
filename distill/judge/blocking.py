"""Waits for async work from ordinary code, also inside a notebook, which has a loop of its own."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Blocking:
    """One thread with one event loop for all calls: connections outlive a single call."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work; its errors are raised here."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="judge")
        return self._thread.submit(self._runner.run, work).result()

    def close(self) -> None:
        """Ends the loop and its thread."""
        if self._thread is not None:
            self._thread.submit(self._runner.close).result()
            self._thread.shutdown()
            self._thread = None
            self._runner = asyncio.Runner()
