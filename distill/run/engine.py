"""Where the run's data work happens (`run.engine`): in this process, or on a Ray cluster.

An engine hands the stages the functions by which they spread their work. The work itself is that of
the same stage functions, so the rows are the same.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from distill.filters.filter import Elsewhere
from distill.generate.stage import Spread
from distill.inspect.workplace import Workplace
from distill.progress import Listener
from distill.run.teachers import TeacherPool, Teachers

if TYPE_CHECKING:
    from distill.capture.local import Reader


class Engine:
    """This process. Others override what they do elsewhere."""

    def spread(self) -> Spread | None:
        """How candidates are filled; None: here."""
        return None

    def elsewhere(self) -> Elsewhere | None:
        """Who judges many rows; None: they are judged here."""
        return None

    def workplace(self) -> Workplace:
        """Where the texts of an inspected dataset are looked at."""
        return Workplace()

    def asking(
        self,
        pool: TeacherPool,
        sources: Mapping[str, str],
        runner: asyncio.Runner,
        listen: Listener,
    ) -> AbstractContextManager[Teachers]:
        """The run's teachers for a stage that asks from many places at once.

        Args:
            pool: Those of this process.
            sources: Local teacher -> folder or hub id.
            runner: On which the pool's connections live.
            listen: Is told of what teachers elsewhere wait for.
        """
        return nullcontext(pool)

    @contextmanager
    def reading(self, load: Mapping[str, Any]) -> Iterator["Reader"]:
        """A local teacher whose signals are captured, from how it is loaded."""
        from distill.capture.local import Here
        from teachers.local_model import LocalModel

        teacher = LocalModel.load(**load)
        try:
            yield Here(teacher)
        finally:
            teacher.release()

    def close(self) -> None:
        """Gives back what was started."""
