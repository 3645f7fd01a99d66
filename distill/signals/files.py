"""Files of a cache that take their names only when they are whole and on the disk."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from distill.errors import Problem, RunError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name, sync it, rename it, sync the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rename(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def rename(old: Path, new: Path) -> None:
    """Give a file its name, durably."""
    old.replace(new)
    handle = os.open(new.parent, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def told_as_run_errors(folder: Path) -> Iterator[None]:
    """Turns what the disk refuses into a RunError that says what to do."""
    try:
        yield
    except OSError as exc:
        found = "the disk is full" if exc.errno in _FULL else f"cannot be written ({exc.strerror})"
        problem = Problem(
            file=str(folder),
            found=f"{found}; the signals that were kept are not lost",
            fix="Free some space or change the permissions, then run the same command again: it "
            "goes on where it stopped.",
        )
        raise RunError(str(problem), [problem]) from exc
