"""Files that are written whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from distill.errors import Problem, RunError

FULL = {errno.ENOSPC, errno.EDQUOT}
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def atomic_file(path: Path | str, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """A file that takes its name only when it is complete and on the disk; folders are made.

    Raises: RunError when the disk is full or the folder cannot be written; the earlier file stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
        with open(temporary, mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_path(path.parent)
    except OSError as exc:
        ours = (temporary, path, *path.parents)
        if exc.filename is not None and Path(str(exc.filename)) not in ours:
            raise  # the caller met it while reading something else
        raise storage_error(exc, path) from exc
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_path(path: Path) -> None:
    """Makes a file, or the names in a folder, durable; a crash right after cannot undo them."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def storage_error(exc: OSError, path: Path) -> RunError:
    """The error for a file or folder that cannot be written, in words that say what to do."""
    again = "then run the same command again: it goes on where it stopped."
    if exc.errno in FULL:
        found, fix = "the disk is full", f"Free some space, {again}"
    elif exc.errno in READ_ONLY:
        found = f"the folder cannot be written ({exc.strerror})"
        fix = f"Change its permissions or give another --run-dir, {again}"
    elif exc.errno == errno.EFBIG:
        found, fix = (
            "the file would pass the size that is allowed here",
            f"Raise the limit, {again}",
        )
    else:
        found = f"the file cannot be written: {exc.strerror or exc}"
        fix = f"Look at the path and the disk, {again}"
    problem = Problem(f"{found}; nothing that was there is lost", file=str(path), fix=fix)
    return RunError(str(problem), [problem])
