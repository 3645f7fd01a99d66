"""Which model a server says it is, held against the one that wrote the stored answers."""

import asyncio
from collections.abc import Callable
from typing import Any

from teachers.config import TeacherConfig
from teachers.protocol import Answer, Teacher


class ServedModel:
    """Names a server whose model is not the one that the store's answers came from."""

    def __init__(
        self, adapter: Teacher, config: TeacherConfig, name: str, tell: Callable[[str], None]
    ) -> None:
        # Other kinds of teachers are known by their weights or their rules.
        self._ask: Any = getattr(adapter, "served_models", None)
        self._wanted = getattr(config, "model", None)
        self._name, self._tell = name, tell
        self._listed: frozenset[str] | None = None if self._ask else frozenset()
        self._probe: asyncio.Task[frozenset[str]] | None = None
        self._answering: set[str] = set()
        self._stored: set[str] = set()

    async def before_reuse(self, stored: Answer) -> None:
        """Look at the server once, before the first stored answer is used."""
        if stored.model in self._stored or self._ask is None:
            return
        if self._listed is None:
            if self._probe is None:
                self._probe = asyncio.create_task(self._ask())
            self._listed = await asyncio.shield(self._probe)
        self._stored.add(stored.model)
        if self._answering:
            self._compare(stored.model, self._answering)
        elif self._listed and self._is_strange(stored.model):
            self._named(stored.model, self._listed)

    def answered(self, answer: Answer) -> None:
        """Hold a new answer's model against the earlier ones."""
        if answer.model in self._answering or self._ask is None:
            return
        if self._answering:
            both = ", ".join(sorted({*self._answering, answer.model}))
            self._tell(f"teachers.{self._name}: answers come from several models: {both}")
        self._answering.add(answer.model)
        for model in self._stored:
            self._compare(model, self._answering)

    def _is_strange(self, model: str) -> bool:
        listed = self._listed or frozenset()
        # A name that the server lists may stand for a snapshot; many servers repeat the request's.
        return not {model, self._wanted} & listed and model != self._wanted

    def _compare(self, model: str, answering: set[str]) -> None:
        if model not in answering:
            self._named(model, answering)

    def _named(self, model: str, found: set[str] | frozenset[str]) -> None:
        self._tell(
            f"teachers.{self._name}: the server reports {', '.join(sorted(found)[:5])}, but the "
            f"stored answers were written by {model}. They are used all the same; give the teacher "
            "an `identity` to keep the two apart"
        )
