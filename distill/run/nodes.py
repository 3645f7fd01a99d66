"""A run that a launcher started as several processes: the first walks the stages, all train.

torchrun, DeepSpeed's launcher or srun start one command once per rank and name a rendezvous in the
environment. Rank 0 walks the recipe; the others follow: they wait there for the trainings that it
announces. Each training is a process of its own on every rank, so that a fresh one meets a fresh
group of processes. Every rank says regularly that it is there, so one that went away is told by its
name long before a collective gives up.

The run directory has to lie where all ranks see it.
"""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from distill.errors import Problem, RunError, UsageError
from distill.train.launch import worker_command

JOIN_S = 120.0
"""Longest that ranks wait for each other at the start."""
BEAT_S = 2.0
GONE_S = 30.0
"""A rank that was silent for so long has gone away."""
LOOK_S = 0.2
LEAVE_S = 10.0
"""Longest that rank 0 waits for the others to hear how the run ended."""
AGAIN = (
    "Start the same command again, on all ranks, to continue from the last checkpoint; on another "
    "number of ranks it goes on with the checkpoint's weights and a fresh optimiser."
)
_NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_MORE = ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "CROSS_RANK", "CROSS_SIZE", "LOCAL_SIZE")


@dataclass(frozen=True, slots=True)
class Place:
    """Where this process stands among those that a launcher started."""

    rank: int
    world: int
    local_rank: int
    address: str
    port: int
    hosted: bool
    """The launcher's own process serves the rendezvous (torchrun); else rank 0 has to."""
    attempt: str
    """Tells a restart by the launcher from the attempt before."""
    given: Mapping[str, str]
    """What the launcher set in the environment."""

    def environment(self, port: int) -> dict[str, str]:
        """The environment of a training process that meets the others at this port of rank 0."""
        # The launcher's own store is where the ranks meet; a training's group has one of its own.
        own = {name: os.environ[name] for name in os.environ if not name.startswith("TORCHELASTIC")}
        return {
            "OMP_NUM_THREADS": "1",
            **own,
            **self.given,
            "LOCAL_RANK": str(self.local_rank),
            "MASTER_PORT": str(port),
            "DISTILL_PARENT": str(os.getpid()),
        }


def launched_place(environ: Mapping[str, str] = os.environ) -> Place | None:
    """This process's place where a launcher started several; None without one.

    Raises: UsageError where the environment says it by halves.
    """
    if environ.get("WORLD_SIZE", "1") == "1":
        return None
    missing = [name for name in _NAMES if not environ.get(name)]
    try:
        if missing:
            raise ValueError(f"without {', '.join(missing)}")
        rank, world, port = (int(environ[name]) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
        if not 0 <= rank < world:
            raise ValueError(f"with RANK={rank}")
    except ValueError as error:
        problem = Problem(
            found=f"WORLD_SIZE={environ['WORLD_SIZE']} {error}",
            allowed=f"{', '.join(_NAMES)} together, as torchrun sets them",
            fix="Start it with torchrun, or unset WORLD_SIZE.",
        )
        raise UsageError(str(problem), [problem]) from error
    return Place(
        rank=rank,
        world=world,
        local_rank=int(environ.get("LOCAL_RANK", "0")),
        address=environ["MASTER_ADDR"],
        port=port,
        hosted=environ.get("TORCHELASTIC_USE_AGENT_STORE", "").lower() in ("1", "true"),
        attempt=environ.get("TORCHELASTIC_RESTART_COUNT", "0"),
        given={name: environ[name] for name in (*_NAMES, *_MORE) if name in environ},
    )


def refuse_beside_launcher(processes: int | None, hostfile: Path | None) -> None:
    """Refuse flags that would start processes where a launcher already has.

    Raises: UsageError.
    """
    flag = "--hostfile" if hostfile else "--num-processes" if processes else None
    if flag is not None:
        problem = Problem(
            found=f"{flag} under a launcher, which has started the ranks already",
            fix=f"Leave {flag} out, or start the command without torchrun.",
        )
        raise UsageError(str(problem), [problem])


@dataclass(slots=True)
class _Seen:
    """What was heard of a rank, and when."""

    host: str | None = None
    beat: bytes = b""
    at: float = field(default_factory=time.monotonic)


class Meeting:
    """The rendezvous of all ranks of one run."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._trainings = 0
        self._seen = {rank: _Seen() for rank in range(place.world) if rank != place.rank}
        self._over = threading.Event()
        self._store = _store(place)
        self._store.set(f"host/{place.rank}", socket.gethostname())
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self._beats.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Rank 0 tells the others how the run ended, and waits a moment until they know."""
        with suppress(RuntimeError):
            if self.place.rank:
                self._store.set(f"left/{self.place.rank}", "1")
            else:
                self._store.set("over", "0" if error is None else "1")
                until = time.monotonic() + LEAVE_S
                while time.monotonic() < until and any(
                    not self._store.check([f"left/{rank}"]) and not self._lost(rank)
                    for rank in self._seen
                ):
                    time.sleep(LOOK_S)
        self._over.set()

    def announce(self, plan: Path) -> dict[str, str]:
        """Has every rank train this plan; the environment of rank 0's own training process."""
        port = _free_port()
        job = {"plan": str(plan), "port": port}
        self._trainings += 1
        self._store.set(f"training/{self._trainings}", json.dumps(job))
        return self.place.environment(port)

    def losses(self) -> list[str]:
        """Ranks that went away, or whose training process was killed, each in words."""
        words = []
        for rank, seen in self._seen.items():
            code = self._ended(rank)
            if code is not None and code < 0:
                memory = " (often for want of memory)" if code == -9 else ""
                words.append(
                    f"the training process of {self._named(rank)} was killed by signal "
                    f"{-code}{memory}"
                )
            elif code is None and self._lost(rank):
                words.append(
                    f"{self._named(rank)} went away: no sign of life for "
                    f"{time.monotonic() - seen.at:.0f} s"
                )
        return words

    def losses_after_failure(self) -> list[str]:
        """The same, once every rank has ended or was found gone; for when rank 0 itself failed."""
        until = time.monotonic() + GONE_S + 5
        while time.monotonic() < until and not (found := self.losses()):
            if all(self._ended(rank) is not None for rank in self._seen):
                break
            time.sleep(LOOK_S)
        return found or self.losses()

    def follow(self) -> None:
        """Train what rank 0 announces until it says that the run is over.

        Raises: RunError where it ended badly, or where rank 0 went away.
        """
        while True:
            if self._check("over"):
                if self._store.get("over") != b"0":
                    raise RunError("the run failed; rank 0 says why")
                return
            if self._check(f"training/{self._trainings + 1}"):
                self._trainings += 1
                self._train(json.loads(self._store.get(f"training/{self._trainings}")))
            self._watch_first()
            time.sleep(LOOK_S)

    def _train(self, job: Mapping[str, Any]) -> None:
        plan, rank = Path(job["plan"]), self.place.rank
        with plan.with_name(f"launch-rank{rank}.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                worker_command(plan),
                env=self.place.environment(job["port"]),
                stdout=log,
                stderr=log,
            )
            try:
                while process.poll() is None:
                    if self._check("over"):
                        return
                    self._watch_first()
                    time.sleep(LOOK_S)
            finally:
                process.kill()
                process.wait()
        self._store.set(f"ended/{self._trainings}/{rank}", str(process.returncode))

    def _watch_first(self) -> None:
        if self._lost(0):
            raise _gone(f"{self._named(0)}, which walks the run, went away")

    def _check(self, key: str) -> bool:
        try:
            return bool(self._store.check([key]))
        except RuntimeError as error:  # torch's DistNetworkError is one
            raise _gone(f"the rendezvous of {self._named(0)} went away") from error

    def _ended(self, rank: int) -> int | None:
        key = f"ended/{self._trainings}/{rank}"
        return int(self._store.get(key)) if self._check(key) else None

    def _lost(self, rank: int) -> bool:
        """Whether a rank was silent too long; one that never came has longer."""
        seen, key = self._seen[rank], f"beat/{rank}"
        if self._check(key) and (beat := self._store.get(key)) != seen.beat:
            seen.beat, seen.at = beat, time.monotonic()
        return time.monotonic() - seen.at > (GONE_S if seen.beat else JOIN_S)

    def _named(self, rank: int) -> str:
        seen = self._seen[rank]
        with suppress(RuntimeError):
            if seen.host is None and self._store.check([f"host/{rank}"]):
                seen.host = self._store.get(f"host/{rank}").decode()
        return f"rank {rank} on {seen.host or 'a node that never came'}"

    def _beat(self) -> None:
        beats = 0
        while not self._over.is_set():
            beats += 1
            with suppress(RuntimeError):
                self._store.set(f"beat/{self.place.rank}", str(beats))
            self._over.wait(BEAT_S)


def on_nodes(place: Place, walk: Callable[[Meeting], dict[str, Any]]) -> dict[str, Any]:
    """What `walk` returns on rank 0; the other ranks follow it and return nothing.

    Raises: RunError where the ranks do not meet, and what `walk` raises.
    """
    with _apart(place), Meeting(place) as meeting:
        if place.rank == 0:
            return walk(meeting)
        meeting.follow()
    return {}


@contextmanager
def _apart(place: Place) -> Iterator[None]:
    """Without the launcher's variables: what rank 0 computes by itself must not wait for others."""
    for name in place.given:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update(place.given)


def _store(place: Place) -> Any:
    from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

    serves = place.rank == 0 and not place.hosted
    try:
        store = TCPStore(
            place.address,
            place.port,
            is_master=serves,
            wait_for_workers=False,
            timeout=timedelta(seconds=JOIN_S),
        )
    except RuntimeError as error:
        where = f"{place.address}:{place.port}"
        first = str(error).splitlines()[0]
        raise _gone(f"rank {place.rank} finds no rendezvous at {where} ({first})") from error
    return PrefixStore(f"distill/{place.attempt}", store)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
    return port


def lost_error(words: list[str], log: Path) -> RunError:
    """The error of a training that stopped because other ranks did."""
    problem = Problem(found="; ".join(words), file=str(log), fix=AGAIN)
    return RunError(str(problem), [problem])


def _gone(found: str) -> RunError:
    problem = Problem(found=found, fix=AGAIN)
    return RunError(str(problem), [problem])
