"""All pairs of texts that are similar enough, exactly, as a group-by of Ray Data.

The prefix filter of `distill.measure.set_join`: texts meet under each of their rarest elements and
are compared there. Any order serves that is the same everywhere; how rare an element is, is read
off counts by a part of its hash, so that no count of single elements has to be shuffled.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from distill.measure.set_join import MOST_WORK, TooManyPairs, element_sets, prefix_length
from distill.run.on_ray.cluster import Cluster, lost
from distill.run.on_ray.near import WHOLE, in_blocks, places

COUNTS = 1 << 18
MARGIN = 1e-9
"""What `similar_pairs` allows for rounding."""


def join(cluster: Cluster, texts: Sequence[str], similarity: float) -> list[tuple[int, int]]:
    """The places of the pairs of different texts that are alike enough.

    Raises: TooManyPairs where they are texts of one template, RunError when Ray cannot do it.
    """
    cluster.join()
    import numpy as np
    from ray.exceptions import RayError

    parts = places(cluster, len(texts))
    try:
        sets = in_blocks(texts).map_batches(with_elements, **WHOLE).materialize()
        often = np.zeros(COUNTS, np.int64)
        for row in sets.map_batches(counted, **WHOLE).iter_rows():
            often += np.frombuffer(row["often"], "<i8")
        found = (
            sets.map_batches(partial(under_prefixes, similarity, parts, often), **WHOLE)
            .groupby("part", num_partitions=parts)
            .map_groups(partial(alike, similarity, parts), batch_format="pyarrow")
        )
        pairs = [(int(row["one"]), int(row["other"])) for row in found.iter_rows()]
    except RayError as error:
        raise lost("Ray could not compare the texts", error) from error
    if (-1, -1) in pairs:
        raise TooManyPairs(f"more than {MOST_WORK:,} candidate pairs")
    return pairs


def with_elements(block: Any) -> Any:
    """The place and the elements of each text of blocks."""
    import pyarrow as pa

    at: list[int] = []
    elements: list[bytes] = []
    for row in block.to_pylist():
        at += range(row["start"], row["start"] + len(row["texts"]))
        elements += [one.astype("<u8").tobytes() for one in element_sets(row["texts"])]
    return pa.table({"at": pa.array(at, pa.int64()), "elements": pa.array(elements, pa.binary())})


def counted(table: Any) -> Any:
    """How often the elements of a block fall on each of COUNTS counters."""
    import numpy as np
    import pyarrow as pa

    elements = np.frombuffer(b"".join(table["elements"].to_pylist()), "<u8")
    often = np.bincount((elements % np.uint64(COUNTS)).astype(np.int64), minlength=COUNTS)
    return pa.table({"often": pa.array([often.astype("<i8").tobytes()], pa.binary())})


def under_prefixes(similarity: float, parts: int, often: Any, table: Any) -> Any:
    """Each set once for every place where some of its rarest elements are looked through."""
    import numpy as np
    import pyarrow as pa

    where: list[int] = []
    rows: list[int] = []
    prefixes: list[bytes] = []
    for at, content in enumerate(table["elements"].to_pylist()):
        own = np.frombuffer(content, "<u8")
        rarity = often[(own % np.uint64(COUNTS)).astype(np.int64)]
        prefix = own[np.lexsort((own, rarity))[: prefix_length(len(own), similarity)]]
        for place in np.unique(prefix % np.uint64(parts)).tolist():
            where.append(place)
            rows.append(at)
            prefixes.append(prefix.tobytes())
    chosen = table.take(pa.array(rows, pa.int64()))
    chosen = chosen.append_column("prefix", pa.array(prefixes, pa.binary()))
    return chosen.append_column("part", pa.array(where, pa.int64()))


def alike(similarity: float, parts: int, place: Any) -> Any:
    """The pairs that meet in one place and are similar enough; -1, -1 where too many meet.

    A pair that shares several rare elements is compared under the smallest of them alone.
    """
    import pyarrow as pa

    here = place["part"][0].as_py()
    at = place["at"].to_pylist()
    sets = [frozenset(_numbers(content)) for content in place["elements"].to_pylist()]
    prefixes = [frozenset(_numbers(content)) for content in place["prefix"].to_pylist()]
    meet: dict[int, list[int]] = {}
    for row, prefix in enumerate(prefixes):
        for element in prefix:
            if element % parts == here:
                meet.setdefault(element, []).append(row)
    work = sum(len(members) ** 2 for members in meet.values())
    found = [(-1, -1)]
    if work <= MOST_WORK // parts:
        found = [
            (at[one], at[other])
            for one, other in _met(meet, prefixes)
            if _likeness(sets[one], sets[other]) >= similarity - MARGIN
        ]
    one, other = (list(side) for side in zip(*found, strict=True)) if found else ([], [])
    return pa.table({"one": pa.array(one, pa.int64()), "other": pa.array(other, pa.int64())})


def _met(
    meet: dict[int, list[int]], prefixes: Sequence[frozenset[int]]
) -> Iterator[tuple[int, int]]:
    for element, members in meet.items():
        for one, other in combinations(members, 2):
            if element == min(prefixes[one] & prefixes[other]):
                yield one, other


def _likeness(one: frozenset[int], other: frozenset[int]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _numbers(content: bytes) -> list[int]:
    import numpy as np

    numbers: list[int] = np.frombuffer(content, "<u8").tolist()
    return numbers
