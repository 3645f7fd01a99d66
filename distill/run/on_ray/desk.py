"""The desk: one actor that owns the store, the ledger and the gateways while workers ask.

So one cap and one "never pay twice" hold over all nodes, and keys live in one process alone. It
runs on the node of the command, for that is where store and ledger lie.
"""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from distill.errors import DistillError
from distill.progress import Listener, Progress
from distill.recipe.schema import Recipe
from distill.run.on_ray.cluster import SPACE, Cluster, lost
from distill.run.teachers import TeacherPool, Teachers
from teachers.budget import Totals
from teachers.protocol import Answer, Ask, Teacher

IN_FLIGHT = 100_000
"""Asks that may wait at the desk; the gateways bound the requests themselves."""
CLOSE_S = 30.0
"""Longest wait for calls in flight when the desk closes."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a desk is opened with."""

    recipe: Recipe
    folder: Path
    """The current folder of the command: the store lies in it."""
    ledger: Path
    spending: Path | None
    sources: Mapping[str, str]
    retry_failed: bool


class Desk:
    """The actor. Errors are given back as values: Ray would dress them up."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._pool: TeacherPool | None = None
        self._notes: list[str] = []

    async def open(self, keys: Mapping[str, str]) -> BaseException | None:
        """Opens store and ledger. `keys` go into this process's environment and nowhere else."""
        given = self._opening
        os.chdir(given.folder)
        os.environ.update(keys)
        try:
            self._pool = TeacherPool(
                given.recipe,
                given.ledger,
                given.sources,
                spending=given.spending,
                retry_failed=given.retry_failed,
                listen=self._hear,
            )
        except Exception as error:
            return _plain(error)
        return None

    async def ask(self, name: str, ask: Ask) -> Answer | BaseException:
        """What a teacher answers, or why it does not."""
        assert self._pool is not None
        try:
            return await self._pool[name].ask(ask)
        except Exception as error:
            return _plain(error)

    async def look(self) -> tuple[Totals, Sequence[str]]:
        """What was spent so far, and what there is to tell since the last look."""
        assert self._pool is not None
        told, self._notes = self._notes, []
        return self._pool.totals(), told

    async def close(self) -> None:
        """Waits a moment for calls in flight and closes store and ledger."""
        if self._pool is not None:
            await self._pool.close()
            self._pool.close_files()
            self._pool = None

    def _hear(self, progress: Progress) -> None:
        if progress.note:
            self._notes.append(progress.note)


class Asked:
    """A teacher at the desk, asked from any process of the cluster."""

    def __init__(self, name: str, desk: str) -> None:
        self.name = name
        self._desk = desk

    async def ask(self, ask: Ask) -> Answer:
        """Answer one question.

        Raises: as the gateway does; RunError when the desk is lost.
        """
        from ray.exceptions import RayError

        try:
            outcome = await _found(self._desk).ask.remote(self.name, ask)
        except (RayError, ValueError) as error:  # ValueError: nobody of that name any more
            raise desk_lost(error) from error
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Nothing: the desk is closed by whoever opened it."""


class AskedTeachers(Teachers):
    """The recipe's teachers, at the desk; `look` tells what they cost and what they have to say."""

    def __init__(self, names: Sequence[str], desk: str, handle: Any, listen: Listener) -> None:
        self._teachers = {name: Asked(name, desk) for name in names}
        self._handle = handle
        self._listen = listen

    def __getitem__(self, name: str) -> Teacher:
        """The teacher of that name."""
        return self._teachers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._teachers)

    def __len__(self) -> int:
        return len(self._teachers)

    def __reduce__(self) -> tuple[type[dict[str, Asked]], tuple[dict[str, Asked]]]:
        """Workers ask, and look at nothing."""
        return dict, (self._teachers,)

    def totals(self) -> Totals:
        """What was spent so far.

        Raises: RunError when the desk is lost.
        """
        import ray
        from ray.exceptions import RayError

        try:
            totals, notes = ray.get(self._handle.look.remote(), timeout=CLOSE_S)
        except RayError as error:
            raise desk_lost(error) from error
        for note in notes:
            self._listen(Progress("teachers", 0, note=note))
        return totals  # type: ignore[no-any-return]


@contextmanager
def opened(
    cluster: Cluster, opening: Opening, keys: Mapping[str, str], listen: Listener
) -> Iterator[AskedTeachers]:
    """A desk for as long as the block lasts. Nobody else may hold the ledger meanwhile.

    Raises: RunError when it cannot be started; what the pool of teachers raises.
    """
    cluster.join()
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    name = f"desk-{uuid.uuid4().hex}"
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    desk: Any = ray.remote(Desk)
    handle = desk.options(
        name=name,
        namespace=SPACE,
        num_cpus=0,
        max_concurrency=IN_FLIGHT,
        scheduling_strategy=here,
    ).remote(opening)
    try:
        try:
            failed = ray.get(handle.open.remote(dict(keys)))
        except RayError as error:
            raise desk_lost(error) from error
        if failed is not None:
            raise failed
        teachers = AskedTeachers(list(opening.recipe.teachers), name, handle, listen)
        yield teachers
        teachers.totals()  # the last notes
    finally:
        with suppress(RayError):
            ray.get(handle.close.remote(), timeout=CLOSE_S)
        with suppress(RayError):
            ray.kill(handle)


@lru_cache(maxsize=16)
def _found(desk: str) -> Any:
    import ray

    return ray.get_actor(desk, namespace=SPACE)


def desk_lost(error: BaseException) -> DistillError:
    """The error for a desk that died."""
    return lost("the process that asks the teachers for all workers was lost", error)


def _plain(error: Exception) -> BaseException:
    """The error without what cannot be sent."""
    import pickle

    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    error.__traceback__ = None
    return error
