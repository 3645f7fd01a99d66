"""What every step of a run is given."""

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.progress import Listener, Progress
from distill.recipe.schema import Recipe
from distill.run.directory import RunDirectory
from distill.run.engine import Engine
from distill.run.nodes import Meeting
from distill.run.teachers import TeacherPool, Teachers


@dataclass(slots=True)
class Context:
    """One walk over a recipe's stages."""

    recipe: Recipe
    """Expanded: strategies are fields."""
    directory: RunDirectory
    teachers: TeacherPool
    sources: Mapping[str, str]
    """Local teacher -> folder or hub id."""
    runner: asyncio.Runner
    listen: Listener
    processes: int | None = None
    hostfile: Path | None = None
    """Machines to train on; absent: this one."""
    engine: Engine = field(default_factory=Engine)
    """Where rows are made and judged."""
    meeting: Meeting | None = None
    """The ranks that a launcher started beside this one; all of them train."""

    def asking(self) -> AbstractContextManager[Teachers]:
        """The teachers for a stage that asks from wherever the engine works."""
        return self.engine.asking(self.teachers, self.sources, self.runner, self.listen)

    def say(self, stage: str, note: str) -> None:
        """Tells the listener something worth keeping on the screen."""
        self.listen(Progress(stage=stage, done=0, note=note))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step has made."""

    outputs: str
    """Hash of it."""
    counts: Mapping[str, Any]
    """in, accepted, rejected, failed, reasons for stages of rows; empty for others."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Whatever the report needs."""
