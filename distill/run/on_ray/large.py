"""Near-duplicates of files that need not fit one machine, dropped over a Ray cluster.

Workers read, compare and write slices of the files; to this process come only the places of rows
that are like others. All nodes see the files under the same path.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, UsageError
from distill.progress import Listener, Progress, silent
from distill.rows.atomic import atomic_file
from distill.rows.slices import BYTES, Slice, count, cut, texts, write_parted
from distill.run.on_ray.cluster import Cluster
from distill.run.on_ray.near import BLOCK, WHOLE, near_kept, places, table_of

KEPT, DROPPED, SUMMARY = "part", "dropped", "deduplicated.json"


def deduplicate(
    cluster: Cluster,
    files: Sequence[Path],
    to: Path,
    field: str,
    similarity: float,
    *,
    slice_bytes: int = BYTES,
    listen: Listener = silent,
) -> dict[str, Any]:
    """Writes the rows that are like none before them to `to`, the others to `to/dropped`.

    Files are read in the order given, rows in theirs. Rows that stay are those that the filter
    near_duplicate keeps when it meets them in this order on one machine.

    Args:
        cluster: Where it is done.
        files: JSONL and Parquet files, or folders of them.
        to: A folder that is empty or not there.
        field: What is compared; anything but text as canonical JSON.
        similarity: Least likeness (Jaccard of word 3-grams) of a near-duplicate.
        slice_bytes: Of JSONL that one worker reads at once.
        listen: Hears how many slices are done.

    Returns: {"rows", "kept", "dropped", "field", "similarity", "to"}.
    Raises: DataError for files that cannot be read; UsageError for a folder that is in use;
        RunError when Ray cannot do it or the disk is full.
    """
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        problem = Problem("the folder is in use", file=str(to), fix="Name an empty or new one.")
        raise UsageError(str(problem), [problem])
    slices = cut([file.resolve() for file in files], slice_bytes)
    starts = _starts(cluster, slices, field, listen)
    rows = starts.pop()
    near: dict[int, float] = {}
    if rows:
        listen(Progress("compare", 0, rows))
        signed = _signed(slices, starts, field, similarity)
        near = near_kept(cluster, signed, places(cluster, rows), similarity)
        listen(Progress("compare", rows, rows))
    (to / DROPPED).mkdir(parents=True, exist_ok=True)
    jobs = list(_jobs(slices, starts, near, to.resolve()))
    _each(cluster, "write", _write, jobs, listen)
    summary = {
        "rows": rows, "kept": rows - len(near), "dropped": len(near),
        "field": field, "similarity": similarity,
    }  # fmt: skip
    with atomic_file(to / SUMMARY) as file:
        file.write(json.dumps(summary, indent=1) + "\n")
    return {**summary, "to": str(to)}


def _starts(cluster: Cluster, slices: Sequence[Slice], field: str, listen: Listener) -> list[int]:
    """The place of each slice's first row, and the number of all rows."""
    counted = _each(cluster, "read", partial(_count, field), slices, listen)
    lines = 0
    for at, (part, (_, own, problem)) in enumerate(zip(slices, counted, strict=True)):
        if at and part.path != slices[at - 1].path:
            lines = 0
        if problem is not None:
            line = problem["line"] and problem["line"] + lines
            placed = Problem(**{**problem, "line": line})
            raise DataError(str(placed), [placed])
        lines += own
    return [0, *accumulate(rows for rows, _, _ in counted)]


def _signed(slices: Sequence[Slice], starts: Sequence[int], field: str, similarity: float) -> Any:
    import ray.data

    blocks = [
        {"first": first, "path": part.path, "start": part.start, "end": part.end}
        for part, first in zip(slices, starts, strict=True)
    ]
    given = ray.data.from_items(blocks, override_num_blocks=len(blocks))
    return given.map_batches(partial(_sign, field, similarity), **WHOLE)


def _sign(field: str, similarity: float, block: Any) -> Any:
    return table_of(similarity, (run for row in block.to_pylist() for run in _runs(field, row)))


def _runs(field: str, row: Mapping[str, Any]) -> Iterator[tuple[int, list[str]]]:
    """Texts that are signed at once: their shingles would not all be held well."""
    found = texts(Slice(row["path"], row["start"], row["end"]), field)
    for at in range(0, len(found), BLOCK):
        yield row["first"] + at, found[at : at + BLOCK]


def _jobs(
    slices: Sequence[Slice], starts: Sequence[int], near: Mapping[int, float], to: Path
) -> Iterator[tuple[Slice, dict[int, float], str, str]]:
    """Of each slice what is dropped of it, and the files that it is parted into."""
    places = sorted(near)
    for number, (part, first) in enumerate(zip(slices, starts, strict=True)):
        end = bisect_left(places, starts[number + 1]) if number + 1 < len(starts) else None
        own = places[bisect_left(places, first) : end]
        name = f"{KEPT}-{number:06}{part.ending}"
        dropped = {place - first: near[place] for place in own}
        yield part, dropped, str(to / name), str(to / DROPPED / name)


def _count(field: str, part: Slice) -> tuple[int, int, dict[str, Any] | None]:
    rows, lines, problem = count(part, field)
    return rows, lines, None if problem is None else problem.as_dict()


def _write(job: tuple[Slice, dict[int, float], str, str]) -> None:
    part, dropped, kept_to, to = job
    write_parted(part, dropped, Path(kept_to), Path(to))


def _each(
    cluster: Cluster, what: str, work: Callable[[Any], Any], items: Sequence[Any], listen: Listener
) -> list[Any]:
    found: dict[int, Any] = {}
    listen(Progress(what, 0, len(items)))
    for at, made in cluster.mapped(work, items):
        found[at] = made
        listen(Progress(what, len(found), len(items)))
    return [found[at] for at in range(len(items))]
