"""The scripted teacher in process."""

import asyncio

from teachers.config import ScriptedTeacher
from teachers.protocol import Answer, Ask
from teachers.scripted.rules import answer


class ScriptedAdapter:
    """A teacher that answers by the rules in its configuration."""

    def __init__(self, config: ScriptedTeacher, name: str) -> None:
        self._config = config
        self._name = name

    @property
    def name(self) -> str:
        """The name that the recipe gives this teacher."""
        return self._name

    async def ask(self, ask: Ask) -> Answer:
        """Answer by the rules.

        Raises: TeacherError("parse") where the ask has choices and the rules say something else.
        """
        if self._config.latency_s:
            await asyncio.sleep(self._config.latency_s)
        return answer(self._config, ask)

    async def close(self) -> None:
        """Nothing to give back."""
