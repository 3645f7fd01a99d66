"""Filters over many short rows: near-duplicates beside datasketch and semhash, and all free ones.

    python scripts/bench/bench_filters.py [--rows 200000] [--long]

The near-duplicate filter is timed as a run has it: tokenise, sign, query, choose, write; the
fastest of some turns counts, all are listed. The peers are timed on their own work alone, in
environments of their own; semhash takes minutes, so it has a tenth of the rows, and the filter's
figures on these stand beside it. How many duplicates each finds stands beside its speed, and on a
sample they are held against brute force. --long gives semhash all rows, and adds a million rows and
the memory that they take.
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import Any

from peers import peer_python
from record import MEGABYTE, Bar, write_result

from distill.filters.chain import build_chain
from distill.measure.duplicates import shingles
from distill.recipe.schema import Recipe
from distill.rows.row import Row
from distill.rows.stages import write_stage

SIMILARITY = 0.8
SAMPLE = 2000
TURNS = 3
SEED = 7
FREE = [
    {"length": {"words": [3, 60]}},
    {"regex": {"forbid": r"https?://"}},
    "standardise",
    "refusal",
    "pii",
    "duplicate",
    "near_duplicate",
    "not_in_gold",
    {"balance": {"max": 10**9}},
]
DATASKETCH = """
import json, sys, time
from datasketch import MinHash, MinHashLSH
texts = json.load(open(sys.argv[1]))
def parts(text):
    words = text.lower().split()
    return {" ".join(words[at:at + 3]) for at in range(max(1, len(words) - 2))}
started = time.perf_counter()
index, kept, found = MinHashLSH(threshold=0.8, num_perm=128), 0, 0
for at, text in enumerate(texts):
    signed = MinHash(num_perm=128)
    signed.update_batch([part.encode() for part in parts(text)])
    if index.query(signed):
        found += 1
    else:
        index.insert(at, signed)
print(json.dumps({"seconds": time.perf_counter() - started, "duplicates": found}))
"""
SEMHASH = """
import json, sys, time
from model2vec import StaticModel
from semhash import SemHash
texts = json.load(open(sys.argv[1]))
model = StaticModel.from_pretrained(sys.argv[2])
started = time.perf_counter()
hash = SemHash.from_records(records=texts, model=model)
kept = hash.self_deduplicate(threshold=0.9)
found = len(texts) - len(kept.selected)
print(json.dumps({"seconds": time.perf_counter() - started, "duplicates": found}))
"""
MODEL = Path(__file__).parents[3] / "shared/real/tokenizers/model2vec-static-embedding"


def short_rows(count: int, copies: float = 0.1) -> list[str]:
    """So many texts of 8 to 25 words, a tenth of them earlier ones with up to two words changed."""
    luck = random.Random(SEED)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(luck.choices(letters, k=luck.randint(2, 9))) for _ in range(20_000)]
    # Summed once: given weights, every draw would sum all 20,000 again.
    summed = list(accumulate(1 / (place + 10) for place in range(len(words))))
    texts: list[str] = []
    for _ in range(count):
        if texts and luck.random() < copies:
            text = luck.choice(texts).split()
            for _ in range(luck.randint(0, 2)):
                text[luck.randrange(len(text))] = luck.choice(words)
        else:
            text = luck.choices(words, cum_weights=summed, k=luck.randint(8, 25))
        texts.append(" ".join(text).capitalize() + ".")
    return texts


def through(filters: Sequence[Any], texts: Sequence[str]) -> dict[str, Any]:
    """Seconds and drops of a chain over the texts, with the stage written."""
    recipe = Recipe.model_validate(
        {
            "name": "bench",
            "task": {"kind": "classify", "labels": ["a", "b"]},
            "data": {"gold": "gold.jsonl"} if "not_in_gold" in filters else {},
            "filter": list(filters),
        }
    )
    gold = [{"text": text, "label": "a"} for text in short_rows(1000)[:500]]
    chain = build_chain(recipe, gold=gold)
    rows = [
        Row(f"{at:016x}", {"text": text, "label": "ab"[at % 2]}) for at, text in enumerate(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        wall, busy = time.perf_counter(), time.process_time()
        sifted = asyncio.run(chain.sift(rows))
        counts = write_stage(Path(folder), sifted)
        wall, busy = time.perf_counter() - wall, time.process_time() - busy
    return {
        "seconds": wall,
        "cpu_seconds": busy,
        "rows_per_s": len(texts) / wall,
        "duplicates": counts.rejected,
        "reasons": dict(counts.reasons),
    }


def brute_force(texts: Sequence[str]) -> int:
    """How many rows are at least SIMILARITY alike to one kept before, every pair compared."""
    kept: list[frozenset[str]] = []
    found = 0
    for text in texts:
        own = shingles(text)
        if any(len(own & other) >= SIMILARITY * len(own | other) for other in kept):
            found += 1
        else:
            kept.append(own)
    return found


def peer(
    name: str, requirements: Sequence[str], code: str, texts: Sequence[str], *more: str
) -> Any:
    """What a peer's script prints, None where its environment cannot be made or it fails."""
    python = peer_python(name, *requirements)
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "texts.json"
        data.write_text(json.dumps(texts), encoding="utf-8")
        command = [str(python), "-c", code, str(data), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        print(f"{name} failed: {done.stderr[-500:]}", file=sys.stderr)
        return None
    found = json.loads(done.stdout.splitlines()[-1])
    return {**found, "rows": len(texts), "rows_per_s": len(texts) / found["seconds"]}


def peers(texts: Sequence[str], few: Sequence[str]) -> dict[str, Any]:
    """Datasketch on the rows, semhash on `few` of them."""
    found = {"datasketch": peer("datasketch", ["datasketch>=1.6"], DATASKETCH, texts)}
    if MODEL.is_dir():
        found["semhash"] = peer("semhash", ["semhash>=0.3"], SEMHASH, few, str(MODEL))
    else:
        print(f"semhash is not measured: no model at {MODEL}")
    return found


def fastest(filters: Sequence[Any], texts: Sequence[str]) -> dict[str, Any]:
    """The figures of the fastest turn, with the seconds of all."""
    turns = [through(filters, texts) for _ in range(TURNS)]
    best = min(turns, key=lambda turn: turn["seconds"])
    return {**best, "turns": [turn["seconds"] for turn in turns]}


def measure(count: int, long: bool) -> tuple[dict[str, Any], list[Bar]]:
    """All figures, and the bars that they are held against."""
    texts = short_rows(count)
    near = [{"near_duplicate": {"similarity": SIMILARITY}}]
    few = texts if long else texts[: len(texts) // 10]
    through(near, texts[:SAMPLE])  # what is imported on first use is not the filter's speed
    figures: dict[str, Any] = {
        "near_duplicate": fastest(near, texts),
        "all_free": fastest(FREE, texts),
        "sample": {
            "rows": SAMPLE,
            "brute_force": brute_force(texts[:SAMPLE]),
            "near_duplicate": through(near, texts[:SAMPLE])["duplicates"],
            **{
                name: found and found["duplicates"]
                for name, found in peers(texts[:SAMPLE], texts[:SAMPLE]).items()
            },
        },
        **peers(texts, few),
        "near_duplicate, rows of semhash": through(near, few),
    }
    if long:
        figures["million"] = through(near, short_rows(10**6))
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        figures["million"]["peak_mb"] = used / MEGABYTE
    sample = figures["sample"]
    bars = [
        Bar("near_duplicate, rows/s", figures["near_duplicate"]["rows_per_s"], at_least=20_000),
        Bar("all free filters, rows/s", figures["all_free"]["rows_per_s"], at_least=10_000),
        Bar(
            "share of brute force's duplicates found",
            sample["near_duplicate"] / max(1, sample["brute_force"]),
            at_least=0.999,
        ),
    ]
    if long:
        peak = figures["million"]["peak_mb"]
        bars.append(Bar("memory of a million rows, MB", peak, at_most=4096))
    return figures, bars


def main() -> None:
    """Measures, prints a table and writes results/filters.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    figures, bars = measure(options.rows, options.long)
    for name, found in figures.items():
        if found and "rows_per_s" in found:
            print(
                f"{name:32} {found['rows_per_s']:12,.0f} rows/s  {found['duplicates']:8,} dropped"
            )
    print(f"sample of {SAMPLE}: {figures['sample']}")
    write_result(
        "filters",
        "filters over short rows",
        settings={"rows": options.rows, "similarity": SIMILARITY, "seed": SEED, "free": FREE},
        figures=figures,
        bars=bars,
        versions={name: version(name) for name in ("rensa", "rapidfuzz", "pyarrow")},
    )


if __name__ == "__main__":
    main()
