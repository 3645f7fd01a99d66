"""The cluster: joined when first needed, left at the end; work is mapped over it by Ray Data.

What travels is pickled by Ray between processes of one run; nothing pickled is kept in a file.
"""

import asyncio
import logging
import os
import re
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, TypeVar

from distill.errors import DistillError, PrerequisiteError, Problem, RunError
from teachers.errors import ConfigError, MissingPackage, TeacherError

_T = TypeVar("_T")

SPACE = "distill"
"""Ray's namespace for what we name."""
KEEP_MS = 120_000
"""How long a cluster of our own keeps a worker that has nothing to do: each takes seconds to
start."""
KNOCK_S = 10.0
USER_MODULES = "distill_user_"
"""How the modules of a recipe's own functions are named (`distill.recipe.functions`)."""


class Cluster:
    """A connection to Ray.

    Args:
        address: HOST:PORT of a cluster, "auto" for the one of this machine; absent: what
            RAY_ADDRESS says, else a cluster of this machine's own for as long as this lives.
        hidden: Environment variables that workers must not see.
        folder: Where the recipe lies; its own modules are imported from there.
    """

    def __init__(self, address: str | None, hidden: Sequence[str], folder: str) -> None:
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._hidden = tuple(hidden)
        self.folder = folder
        self._joined = False

    def join(self) -> None:
        """Connects, unless that was done; Ray that this process has started already is taken.

        Raises: RunError where there is no such cluster, PrerequisiteError without the extra.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", str(KEEP_MS))
        try:
            import ray
            import ray.data
        except ImportError as missing:
            line = "pip install 'distill-kit[ray]'"
            problem = Problem(f"package {missing.name} is missing", key="ray", fix=line)
            raise PrerequisiteError(f"working over Ray needs: {line}", [problem]) from missing

        if not ray.is_initialized():
            _knock(self._address)
            more = {"include_dashboard": False} if self._address == "local" else {}
            try:
                with _without(self._hidden):
                    ray.init(
                        address=self._address,
                        namespace=SPACE,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        **more,
                    )
            except (ConnectionError, RuntimeError, ValueError, OSError) as error:
                raise _unreachable(self._address, error) from error
            self._joined = True
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False

    def leave(self) -> None:
        """Disconnects, and ends a cluster of our own."""
        if self._joined:
            import ray

            ray.shutdown()
            self._joined = False

    @property
    def cpus(self) -> int:
        """Processors of all nodes that live, at least one."""
        self.join()
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    @property
    def gpus(self) -> int:
        """GPUs of all nodes that live."""
        self.join()
        import ray

        return int(ray.cluster_resources().get("GPU", 0))

    @property
    def nodes(self) -> int:
        """How many nodes live."""
        self.join()
        import ray

        return sum(bool(node["Alive"]) for node in ray.nodes())

    def packed(self, work: Any) -> bytes:
        """Something for `mapped` to carry: pickled, the recipe's own functions by their text."""
        self.join()
        from ray import cloudpickle

        own = [one for name, one in sys.modules.items() if name.startswith(USER_MODULES)]
        for module in own:
            cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps(work))
        finally:
            for module in own:
                cloudpickle.unregister_pickle_by_value(module)

    def mapped(
        self, work: Callable[[Any], _T], items: Sequence[Any], *, workers: int | None = None
    ) -> Iterator[tuple[int, _T]]:
        """Yields each item's place with what `work` makes of it, whichever is done first.

        An item whose worker or node is lost is done again elsewhere. `workers` are kept for all
        items, at most so many, each with a GPU where the cluster has some; absent: any process.
        Raises: what `work` raises; RunError when Ray cannot do it.
        """
        if not items:
            return
        self.join()
        import ray.data
        from ray.exceptions import RayError

        rows = [{"at": at, "given": self.packed(item)} for at, item in enumerate(items)]
        given = ray.data.from_items(rows, override_num_blocks=len(rows))
        carried = self.packed(work), self.folder, os.getcwd()
        if workers is None:
            made = given.map(partial(_do, *carried))
        else:
            made = given.map(
                _Kept,
                fn_constructor_args=carried,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
                num_gpus=1 if self.gpus else None,
            )
        try:
            for row in made.iter_rows():
                outcome = unpacked(row["made"])
                if isinstance(outcome, _Raised):
                    raise outcome.error
                yield int(row["at"]), outcome
        except RayError as error:
            raise lost("Ray could not finish the work", error) from error


@dataclass(frozen=True, slots=True)
class _Raised:
    """An error that a user can understand, as it was raised: Ray would dress it up."""

    error: BaseException


def _do(work: bytes, folder: str, current: str, row: dict[str, Any]) -> dict[str, Any]:
    from ray import cloudpickle

    try:
        made: Any = _loaded(work, folder, current)(unpacked(row["given"]))
    except (DistillError, TeacherError, ConfigError, MissingPackage) as error:
        made = _Raised(error)
    return {"at": row["at"], "made": cloudpickle.dumps(made)}


class _Kept:
    """A worker that is kept, with what it has loaded."""

    def __init__(self, work: bytes, folder: str, current: str) -> None:
        self._do = partial(_do, work, folder, current)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return self._do(row)


@lru_cache(maxsize=4)
def _loaded(work: bytes, folder: str, current: str) -> Callable[[Any], Any]:
    """The work, unpacked once in each worker, which goes where the command was called."""
    if folder not in sys.path:
        sys.path.append(folder)
    if os.path.isdir(current):
        os.chdir(current)
    return unpacked(work)  # type: ignore[no-any-return]


def unpacked(content: bytes) -> Any:
    """What `packed` packed."""
    from ray import cloudpickle

    return cloudpickle.loads(content)


async def arriving(make: Callable[[], Iterator[_T]]) -> AsyncGenerator[_T, None]:
    """Yields from a blocking iterator without blocking the event loop."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[bool, Any]] = asyncio.Queue()
    given_up = threading.Event()

    def put(last: bool, what: Any) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(queue.put_nowait, (last, what))

    def pump() -> None:
        try:
            for item in make():
                if given_up.is_set():
                    return
                put(False, item)
            put(True, None)
        except BaseException as error:
            put(True, error)

    threading.Thread(target=pump, daemon=True).start()
    try:
        while True:
            last, what = await queue.get()
            if not last:
                yield what
            elif what is None:
                return
            else:
                raise what
    finally:
        given_up.set()


def lost(found: str, error: BaseException) -> RunError:
    """The error that says what Ray lost, and that nothing paid is lost with it."""
    problem = Problem(
        key="ray",
        found=f"{found}: {_last_line(error)}",
        fix="Run the same command again: nothing that was paid for is asked again.",
    )
    return RunError(str(problem), [problem])


def _knock(address: str) -> None:
    """Raises: RunError where nobody listens at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: BaseException) -> RunError:
    problem = Problem(
        key="address",
        found=f"no Ray cluster can be used at {address!r}: {_last_line(error)}",
        fix="Start one with `ray start --head` here and `ray start --address=HOST:PORT` on the "
        "other nodes; the command runs on a node of the cluster.",
    )
    return RunError(str(problem), [problem])


def _last_line(error: BaseException) -> str:
    """What an error says in the end: Ray's begin with where they were, in colour."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[-1][:300].rstrip(". ") if lines else type(error).__name__


@contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """The environment without some variables: what is started meanwhile never sees them."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
