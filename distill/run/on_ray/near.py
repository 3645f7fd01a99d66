"""Near-duplicates of more texts than one machine holds: LSH buckets as a group-by of Ray Data.

Texts are signed block by block, meet in the buckets of their bands and are compared there exactly.
Only the pairs that are alike come back, and from these follows which text is kept: the same ones
that the index of `distill.measure.duplicates` keeps when it reads the texts one by one.
"""

import struct
from collections.abc import Iterable, Sequence
from functools import partial
from hashlib import blake2b
from itertools import combinations
from typing import Any

from distill.measure.duplicates import BLOCK, jaccard, signatures
from distill.run.on_ray.cluster import Cluster, lost

PART = 100_000
"""Texts that meet in one place, about: bounds what a worker holds."""
WHOLE: dict[str, Any] = {"batch_format": "pyarrow", "batch_size": None}
"""How `map_batches` gives a block as it is."""


def nearest_kept(cluster: Cluster, texts: Sequence[str], similarity: float) -> list[float | None]:
    """For each text its largest similarity to one kept before it; None for those that are kept.

    Raises: RunError when Ray cannot do it.
    """
    cluster.join()
    from ray.exceptions import RayError

    parts = places(cluster, texts)
    try:
        texts_signed = in_blocks(texts).map_batches(partial(signed, similarity), **WHOLE)
        texts_signed = texts_signed.materialize()
        same: dict[int, bytes] = {}
        for batch in texts_signed.select_columns(["at", "set"]).iter_batches(
            batch_format="pyarrow"
        ):
            same.update(zip(batch["at"].to_pylist(), batch["set"].to_pylist(), strict=True))
        found = (
            texts_signed.map_batches(partial(in_buckets, parts), **WHOLE)
            .groupby("part", num_partitions=parts)
            .map_groups(partial(pairs, similarity, parts), batch_format="pyarrow")
        )
        alike = [(row["one"], row["other"], row["alike"]) for row in found.iter_rows()]
    except RayError as error:
        raise lost("Ray could not compare the texts", error) from error
    return choose([same[at] for at in range(len(texts))], alike)


def places(cluster: Cluster, texts: Sequence[str]) -> int:
    """In how many places texts meet."""
    return max(2 * cluster.cpus, len(texts) // PART)


def in_blocks(texts: Sequence[str]) -> Any:
    """A dataset of Ray's: the texts in blocks, each with the place of its first."""
    import ray.data

    blocks = [
        {"start": start, "texts": list(texts[start : start + BLOCK])}
        for start in range(0, len(texts), BLOCK)
    ]
    return ray.data.from_items(blocks, override_num_blocks=len(blocks))


def choose(
    sets: Sequence[bytes], alike: Iterable[tuple[bytes, bytes, float]]
) -> list[float | None]:
    """Keeps each text that is like none kept before it, in order.

    Args:
        sets: Of each text a name of its set of shingles, equal for equal sets.
        alike: Pairs of different sets that are similar enough, with their similarity.
    """
    beside: dict[bytes, list[tuple[bytes, float]]] = {}
    for one, other, likeness in alike:
        beside.setdefault(one, []).append((other, likeness))
        beside.setdefault(other, []).append((one, likeness))
    kept: set[bytes] = set()
    nearest: list[float | None] = []
    for name in sets:
        near = [value for other, value in beside.get(name, ()) if other in kept]
        if name in kept:
            near.append(1.0)
        nearest.append(max(near) if near else None)
        if not near:
            kept.add(name)
    return nearest


def signed(similarity: float, block: Any) -> Any:
    """The signed texts of blocks, on a worker."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {"at": [], "set": [], "hashes": [], "buckets": []}
    for row in block.to_pylist():
        for at, signature in enumerate(signatures(row["texts"], similarity), row["start"]):
            hashes = _bytes(sorted(signature.hashes))
            columns["at"].append(at)
            columns["set"].append(blake2b(hashes, digest_size=16).digest())
            columns["hashes"].append(hashes)
            columns["buckets"].append(_bytes(signature.buckets))
    types = {"at": pa.int64(), "set": pa.binary(), "hashes": pa.binary(), "buckets": pa.binary()}
    return pa.table(columns, schema=pa.schema(list(types.items())))


def in_buckets(parts: int, table: Any) -> Any:
    """The signed texts, each once for every place where some of its buckets are looked through."""
    import numpy as np

    where = np.sort(_matrix(table["buckets"]) % np.uint64(parts), axis=1)
    first = np.ones(where.shape, bool)
    first[:, 1:] = where[:, 1:] != where[:, :-1]
    rows, _ = np.nonzero(first)
    placed = table.select(["set", "hashes", "buckets"]).take(rows)
    return placed.append_column("part", [where[first].astype(np.int64)])


def pairs(similarity: float, parts: int, place: Any) -> Any:
    """The pairs of different sets in the buckets of one place that are similar enough.

    A pair that shares several buckets is compared in the first of them alone.
    """
    import numpy as np
    import pyarrow as pa

    here = place["part"][0].as_py()
    names = place["set"].to_pylist()
    own = {name: at for at, name in enumerate(names)}  # equal sets are one
    place = place.take(rows := sorted(own.values()))
    names = [names[at] for at in rows]
    hashes, buckets_NB = place["hashes"].to_pylist(), _matrix(place["buckets"])
    members, bands = np.nonzero(buckets_NB % np.uint64(parts) == here)
    keys = buckets_NB[members, bands]
    order = np.lexsort((members, keys))
    members, bands, keys = members[order], bands[order], keys[order]
    edges = np.flatnonzero(np.diff(keys)) + 1
    known: dict[int, frozenset[int]] = {}
    found: list[tuple[bytes, bytes, float]] = []
    for start, end in zip([0, *edges.tolist()], [*edges.tolist(), len(keys)], strict=True):
        if end - start < 2:
            continue
        band = int(bands[start])
        for one, other in combinations(members[start:end].tolist(), 2):
            if (buckets_NB[one, :band] == buckets_NB[other, :band]).any():
                continue
            small, large = sorted((len(hashes[one]), len(hashes[other])))
            if small / large < similarity:
                continue
            for at in (one, other):
                if at not in known:
                    known[at] = frozenset(np.frombuffer(hashes[at], "<u8").tolist())
            likeness = jaccard(known[one], known[other])
            if likeness >= similarity:
                found.append((names[one], names[other], likeness))
    columns = list(zip(*found, strict=True)) or [(), (), ()]
    schema = pa.schema([("one", pa.binary()), ("other", pa.binary()), ("alike", pa.float64())])
    return pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema)


def _bytes(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def _matrix(column: Any) -> Any:
    """Packed numbers of rows, as many in each: (rows, numbers)."""
    import numpy as np

    content = column.to_pylist()
    return np.frombuffer(b"".join(content), "<u8").reshape(len(content), -1)
