"""review/log.jsonl: one JSON line per thing that a reviewer did. Lines are only ever added."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem
from distill.rows.atomic import storage_error
from distill.rows.row import canonical_json, digest

NAME = "log.jsonl"


@dataclass(frozen=True, slots=True)
class Review:
    """What one reviewer said of one row."""

    pack_id: str
    row_id: str
    content_hash: str
    schema_hash: str
    kind: str
    """Of the pack."""
    reviewer: str
    decision: str | None
    """accept, edit, reject or skip; None takes an earlier decision back."""
    edits: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    comment: str = ""
    at: str = ""
    """When it was decided, ISO 8601 in UTC."""
    seconds: float | None = None
    """Time spent."""
    confidence: float | None = None
    outcome: str = "applied"
    """What the import plan said of it."""
    final: bool = False
    """The word of an adjudicator."""
    saw_suggestion: bool = True
    order: tuple[str, ...] = ()
    """How answers that were compared lay on the page."""
    source: str = ""
    """Format that it came by, or `serve`."""

    @property
    def payload(self) -> str:
        """What makes two reviews of one reviewer the same."""
        given = [self.decision, dict(self.edits), sorted(self.tags), self.comment, self.final]
        return canonical_json(given)

    def as_dict(self) -> dict[str, Any]:
        """The line."""
        return {
            "v": 1,
            **{name: getattr(self, name) for name in self.__slots__},
            "edits": dict(self.edits),
            "tags": list(self.tags),
            "order": list(self.order),
        }


def review_from_dict(data: Mapping[str, Any]) -> Review:
    """The review of a line.

    Raises: TypeError or KeyError when it is not one.
    """
    given = {name: data[name] for name in Review.__slots__ if name in data}
    given["tags"], given["order"] = tuple(data.get("tags", ())), tuple(data.get("order", ()))
    return Review(**given)


def read_log(folder: Path) -> list[Review]:
    """All reviews in the order in which they came; a last line that was cut off is left out.

    Raises: DataError when another line cannot be read.
    """
    path = folder / NAME
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return []
    found = []
    for line, text in enumerate(raw.split(b"\n")[:-1], 1):
        try:
            found.append(review_from_dict(json.loads(text)))
        except (ValueError, TypeError, KeyError) as exc:
            problem = Problem(f"not a review ({exc})", file=str(path), line=line, fix="Mend it.")
            raise DataError(str(problem), [problem]) from exc
    return found


def log_hash(reviews: Sequence[Review]) -> str:
    """Hash of a log, which a merged version names."""
    return digest([review.as_dict() for review in reviews])


def append(folder: Path, reviews: Sequence[Review]) -> None:
    """Adds reviews durably: all of them, or none where the disk is full.

    Raises: RunError when the folder cannot be written.
    """
    with _locked(folder) as handle:
        _add(folder, handle, reviews)


def amend(folder: Path, decide: Callable[[list[Review]], Sequence[Review]]) -> None:
    """Adds what `decide` makes of the log as it is; nobody else adds anything in between.

    Raises: RunError when the folder cannot be written, DataError for a damaged log.
    """
    with _locked(folder) as handle:
        _add(folder, handle, decide(read_log(folder)))


def _add(folder: Path, handle: int, reviews: Sequence[Review]) -> None:
    if reviews:
        end = _sound_end(handle)
        lines = "".join(f"{canonical_json(review.as_dict())}\n" for review in reviews).encode()
        try:
            _write_all(handle, lines, end)
            os.fsync(handle)
        except OSError as exc:
            os.ftruncate(handle, end)
            raise storage_error(exc, folder / NAME) from exc


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as exc:
        raise storage_error(exc, path) from exc
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _sound_end(handle: int) -> int:
    """Where the last whole line ends; what a crash left after it is cut off."""
    size = os.fstat(handle).st_size
    at = size
    while at > 0:
        start = max(0, at - 65536)
        found = os.pread(handle, at - start, start).rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    if at != size:
        os.ftruncate(handle, at)
    return at


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
