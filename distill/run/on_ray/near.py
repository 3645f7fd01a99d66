"""Near-duplicates of more texts than one machine holds: LSH buckets as a group-by of Ray Data.

Texts are signed block by block, meet in the buckets of their bands and are compared there exactly.
Only what is alike comes back, and from this follows which text is kept: the same ones that the
index of `distill.measure.duplicates` keeps when it reads the texts one by one.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from itertools import combinations
from typing import Any

from distill.measure.duplicates import jaccard, signatures
from distill.run.on_ray.cluster import Cluster, lost

BLOCK = 2048
"""Texts that are signed in one go of a worker."""
PART = 100_000
"""Texts that meet in one place, about: bounds what a worker holds."""
WHOLE: dict[str, Any] = {"batch_format": "pyarrow", "batch_size": None}
"""How `map_batches` gives a block as it is."""


def nearest_kept(cluster: Cluster, texts: Sequence[str], similarity: float) -> list[float | None]:
    """For each text its largest similarity to one kept before it; None for those that are kept.

    Raises: RunError when Ray cannot do it.
    """
    cluster.join()
    blocks = in_blocks(texts).map_batches(partial(signed, similarity), **WHOLE)
    near = near_kept(cluster, blocks, places(cluster, len(texts)), similarity)
    return [near.get(at) for at in range(len(texts))]


def near_kept(cluster: Cluster, blocks: Any, parts: int, similarity: float) -> dict[int, float]:
    """The place of each text that is dropped -> its largest similarity to one kept before it.

    Here nothing lies of a text that is like no other.

    Args:
        cluster: Joined.
        blocks: A dataset of Ray's of signed texts (`table_of`).
        parts: In how many places texts meet.
        similarity: Least likeness (Jaccard of shingles) of a near-duplicate.

    Raises: RunError when Ray cannot do it.
    """
    from ray.exceptions import RayError

    members: dict[bytes, set[int]] = {}
    alike: list[tuple[bytes, bytes, float]] = []
    try:
        found = (
            blocks.map_batches(partial(in_buckets, parts), **WHOLE)
            .groupby("part", num_partitions=parts)
            .map_groups(partial(pairs, similarity, parts), batch_format="pyarrow")
        )
        for batch in found.iter_batches(batch_format="pyarrow"):
            read_found(batch, members, alike)
    except RayError as error:
        raise lost("Ray could not compare the texts", error) from error
    return choose(members, alike)


def places(cluster: Cluster, texts: int) -> int:
    """In how many places so many texts meet."""
    return max(2 * cluster.cpus, texts // PART)


def in_blocks(texts: Sequence[str]) -> Any:
    """A dataset of Ray's: the texts in blocks, each with the place of its first."""
    import ray.data

    blocks = [
        {"start": start, "texts": list(texts[start : start + BLOCK])}
        for start in range(0, len(texts), BLOCK)
    ]
    return ray.data.from_items(blocks, override_num_blocks=len(blocks))


def choose(
    members: Mapping[bytes, Iterable[int]], alike: Iterable[tuple[bytes, bytes, float]]
) -> dict[int, float]:
    """Keeps each text that is like none kept before it, in order; what else, with its likeness.

    Args:
        members: The name of a set of shingles -> the places of the texts that have it, for all
            sets that several texts have or that are like another.
        alike: Pairs of different sets that are similar enough, with their similarity.
    """
    beside: dict[bytes, list[tuple[bytes, float]]] = {}
    for one, other, likeness in alike:
        beside.setdefault(one, []).append((other, likeness))
        beside.setdefault(other, []).append((one, likeness))
    kept: set[bytes] = set()
    dropped: dict[int, float] = {}
    for at, name in sorted((at, name) for name, places in members.items() for at in places):
        near = [value for other, value in beside.get(name, ()) if other in kept]
        if name in kept:
            near.append(1.0)
        if near:
            dropped[at] = max(near)
        else:
            kept.add(name)
    return dropped


def read_found(
    table: Any, members: dict[bytes, set[int]], alike: list[tuple[bytes, bytes, float]]
) -> None:
    """Takes what `pairs` found in a place."""
    for row in table.to_pylist():
        if row["at"] is None:
            alike.append((row["one"], row["other"], row["alike"]))
        else:
            members.setdefault(row["one"], set()).add(row["at"])


def signed(similarity: float, block: Any) -> Any:
    """The signed texts of blocks, on a worker."""
    return table_of(similarity, ((row["start"], row["texts"]) for row in block.to_pylist()))


def table_of(similarity: float, runs: Iterable[tuple[int, Sequence[str]]]) -> Any:
    """Signed texts as a table: place, name of the set of shingles, its hashes, its buckets.

    Args:
        similarity: What they will be compared at.
        runs: The place of a first text, and the texts from there on.
    """
    import pyarrow as pa

    columns: dict[str, list[Any]] = {"at": [], "set": [], "hashes": [], "buckets": []}
    for start, texts in runs:
        for at, signature in enumerate(signatures(texts, similarity), start):
            hashes = struct.pack(f"<{len(signature.hashes)}Q", *sorted(signature.hashes))
            columns["at"].append(at)
            columns["set"].append(blake2b(hashes, digest_size=16).digest())
            columns["hashes"].append(hashes)
            columns["buckets"].append(
                struct.pack(f"<{len(signature.buckets)}Q", *signature.buckets)
            )
    types = {"at": pa.int64(), "set": pa.binary(), "hashes": pa.binary(), "buckets": pa.binary()}
    return pa.table(columns, schema=pa.schema(list(types.items())))


def in_buckets(parts: int, table: Any) -> Any:
    """The signed texts, each once for every place where some of its buckets are looked through."""
    import numpy as np

    where = np.sort(_matrix(table["buckets"]) % np.uint64(parts), axis=1)
    first = np.ones(where.shape, bool)
    first[:, 1:] = where[:, 1:] != where[:, :-1]
    rows, _ = np.nonzero(first)
    placed = table.take(rows)
    return placed.append_column("part", [where[first].astype(np.int64)])


def pairs(similarity: float, parts: int, place: Any) -> Any:
    """The pairs of different sets in the buckets of one place that are similar enough.

    A pair that shares several buckets is compared in the first of them alone. Beside the pairs
    stand the texts of their sets, and of the sets that several texts have: (set, place).
    """
    import numpy as np

    here = place["part"][0].as_py()
    texts: dict[bytes, list[int]] = {}
    first: dict[bytes, int] = {}
    for row, (name, at) in enumerate(
        zip(place["set"].to_pylist(), place["at"].to_pylist(), strict=True)
    ):
        texts.setdefault(name, []).append(at)
        first.setdefault(name, row)
    names = list(first)
    place = place.take(list(first.values()))  # equal sets are one
    buckets_NB = _matrix(place["buckets"])
    compare = _Comparison(similarity, place["hashes"].to_pylist())
    members, bands = np.nonzero(buckets_NB % np.uint64(parts) == here)
    keys = buckets_NB[members, bands]
    order = np.lexsort((members, keys))
    members, bands, keys = members[order], bands[order], keys[order]
    edges = np.flatnonzero(np.diff(keys)) + 1
    found: list[tuple[bytes, bytes, float]] = []
    told = {name for name in names if len(texts[name]) > 1}
    for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(keys)], strict=True):
        if end - start < 2:
            continue
        band = int(bands[start])
        for one, other in combinations(members[start:end].tolist(), 2):
            if (buckets_NB[one, :band] == buckets_NB[other, :band]).any():
                continue
            likeness = compare(one, other)
            if likeness >= similarity:
                found.append((names[one], names[other], likeness))
                told |= {names[one], names[other]}
    return _found(found, {name: texts[name] for name in sorted(told)})


class _Comparison:
    """Jaccard of two sets of one place, 0 where their sizes alone rule out that it is enough."""

    def __init__(self, similarity: float, hashes: Sequence[bytes]) -> None:
        self._similarity = similarity
        self._hashes = hashes
        self._known: dict[int, frozenset[int]] = {}

    def __call__(self, one: int, other: int) -> float:
        small, large = sorted((len(self._hashes[one]), len(self._hashes[other])))
        if small / large < self._similarity:
            return 0.0
        return jaccard(self._set(one), self._set(other))

    def _set(self, at: int) -> frozenset[int]:
        if at not in self._known:
            self._known[at] = frozenset(_unpacked(self._hashes[at]))
        return self._known[at]


def _found(
    alike: Sequence[tuple[bytes, bytes, float]], members: Mapping[bytes, Sequence[int]]
) -> Any:
    import pyarrow as pa

    rows = [{"one": one, "other": other, "alike": likeness} for one, other, likeness in alike]
    rows += [{"one": name, "at": at} for name, places in members.items() for at in places]
    types = {"one": pa.binary(), "other": pa.binary(), "alike": pa.float64(), "at": pa.int64()}
    return pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))


def _unpacked(content: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(content) // 8}Q", content)


def _matrix(column: Any) -> Any:
    """Packed numbers of rows, as many in each: (rows, numbers)."""
    import numpy as np

    content = column.to_pylist()
    return np.frombuffer(b"".join(content), "<u8").reshape(len(content), -1)
