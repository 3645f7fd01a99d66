"""The run directory: where things lie, who holds it, and which stages are done."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, RunError, UsageError
from distill.rows.atomic import atomic_file

STAGES = ("generate", "filter", "review", "split", "signals", "train", "evaluate", "export")
RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Done:
    """What a finished stage says of itself (done.json)."""

    key: str
    """Hash of everything the stage depends on; another key means it is stale."""
    outputs: str
    """Hash of what it made; the next stage depends on this, not on how it came about."""
    counts: Mapping[str, Any]
    started: str
    seconds: float
    details: Mapping[str, Any]
    """Whatever the report needs from this stage."""


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Paths of one run."""

    root: Path

    def stage(self, name: str) -> Path:
        """Folder of a stage: stages/01-generate, ..."""
        return self.root / "stages" / f"{STAGES.index(name) + 1:02d}-{name}"

    @property
    def dataset(self) -> Path:
        """The newest version of the dataset."""
        return self.root / "dataset"

    @property
    def student(self) -> Path:
        """The exported student."""
        return self.root / "student"

    @property
    def ledger(self) -> Path:
        """What happened and what it cost."""
        return self.root / "ledger.sqlite"

    def relative(self, path: str) -> str:
        """A path as seen from the run, so that the run can be moved; others as they are."""
        root, full = self.root.resolve(), Path(path).resolve()
        return str(full.relative_to(root)) if full.is_relative_to(root) else path

    def model(self, ref: str) -> str:
        """The folder or hub id behind what `relative` gave."""
        inside = self.root / ref
        return str(inside) if inside.is_dir() else ref

    def done(self, name: str) -> Done | None:
        """The done.json of a stage, or None where it is missing or unreadable."""
        try:
            return Done(**json.loads((self.stage(name) / "done.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def restored(self) -> list[str]:
        """Names of the filters whose rejected rows people brought back."""
        names: list[str] = (self.read_json("restored.json") or {}).get("filters", [])
        return names

    def finish(self, name: str, done: Done) -> None:
        """Marks a stage as finished; the last thing that a stage does."""
        self.write_json(
            self.stage(name) / "done.json",
            {slot: getattr(done, slot) for slot in Done.__slots__},
        )

    def reopen(self, name: str) -> None:
        """Marks a stage as not finished, before it is done again."""
        (self.stage(name) / "done.json").unlink(missing_ok=True)

    def write_json(self, path: Path, value: Any) -> None:
        """Writes JSON that people can read, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
            file.write("\n")

    def read_json(self, name: str) -> Any:
        """A JSON file of the run, or None where there is none.

        Raises: DataError when it is damaged.
        """
        path = self.root / name
        try:
            return json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            problem = Problem(
                found=f"not the JSON that was written here ({error})",
                file=str(path),
                fix="Delete it and run the recipe again: it is written anew.",
            )
            raise DataError(str(problem), [problem]) from error


def find_run(ref: str) -> RunDirectory:
    """The run that RUN names: a folder, or a name under ./runs.

    Raises: UsageError when there is none.
    """
    for folder in (Path(ref), Path(RUNS) / ref):
        if (folder / "lock.json").is_file():
            return RunDirectory(folder)
    known = sorted(path.parent.name for path in Path(RUNS).glob("*/lock.json"))
    problem = Problem(
        found=f"no run {ref!r} here",
        allowed=", ".join(known) or "none yet under ./runs",
        fix="Give a run's folder, or start one with: distill run RECIPE",
    )
    raise UsageError(str(problem), [problem])


def now() -> str:
    """The time, in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


@contextmanager
def held(directory: RunDirectory) -> Iterator[None]:
    """Holds the run for this process until the block ends; a crash lets go by itself.

    Raises: RunError naming the process that holds it, or saying that the folder cannot be written.
    """
    path = directory.root / ".pid"
    try:
        directory.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        problem = Problem(
            found=f"cannot write here: {error.strerror}",
            file=str(directory.root),
            fix="Free space or give another folder with --run-dir.",
        )
        raise RunError(str(problem), [problem]) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.pread(handle, 20, 0).decode(errors="replace").strip() or "unknown"
            problem = Problem(
                found=f"the run is held by process {pid}",
                file=str(directory.root),
                fix="Wait for it, stop it, or give another --run-dir.",
            )
            raise RunError(str(problem), [problem]) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
