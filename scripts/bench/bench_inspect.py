"""`distill inspect` of 100,000 short labelled rows, page included: a minute at most on 2 cores.

python scripts/bench/bench_inspect.py [--rows N]
"""

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

from record import Bar, write_result

from distill.progress import Progress
from distill.run.inspect_dataset import Request, inspect_dataset

ROWS = 100_000
AT_MOST_S = 60.0
GOLD = 1_000
LABELS = 20
KILOBYTES = 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        data, gold = Path(folder) / "train.jsonl", Path(folder) / "gold.jsonl"
        made = make_rows(rows + GOLD)
        write(data, made[:rows])
        write(gold, [*made[rows:], *made[:10]])
        parts: list[tuple[str, float]] = []

        def listen(progress: Progress) -> None:
            if "part" in progress.figures:
                parts.append((str(progress.figures["part"]), time.process_time()))

        wall, cpu = time.perf_counter(), time.process_time()
        report = inspect_dataset(Request(data, out=Path(folder) / "page.html", gold=gold), listen)
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
    ends = [at for _, at in parts[1:]] + [cpu + cpu_seconds]
    figures = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "rows_per_s": rows / seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES,
        "cpu_seconds_of": {name: end - at for (name, at), end in zip(parts, ends, strict=True)},
        "leaks": len(report["leakage"]["train|gold"]["rows"]),
        "near_duplicates": report["duplicates"]["near"],
        "label_errors": len(report["label_errors"]),
    }
    print(json.dumps(figures, indent=1))
    bar = Bar(f"inspect of {rows:,} rows, seconds", seconds, at_most=AT_MOST_S * rows / ROWS)
    write_result(
        "inspect",
        "inspect of short labelled rows, with gold and the page",
        settings={"rows": rows, "gold": GOLD + 10, "labels": LABELS},
        figures=figures,
        bars=[bar],
    )


def make_rows(count: int) -> list[dict[str, str]]:
    """Texts of 6 to 20 words that depend on their label; one in ten is a changed copy."""
    rng = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / (place + 10) for place in range(len(words))]
    topics = [rng.sample(words, 60) for _ in range(LABELS)]
    drawn = rng.choices(words, weights, k=count * 16)
    made: list[dict[str, str]] = []
    for at in range(count):
        label = rng.randrange(LABELS)
        if made and rng.random() < 0.1:
            old = rng.choice(made)
            text = old["text"].split()
            text[rng.randrange(len(text))] = rng.choice(words)
            label = int(old["label"].removeprefix("label"))
        else:
            text = drawn[at * 16 : at * 16 + rng.randint(4, 15)] + rng.choices(topics[label], k=3)
        made.append({"id": f"r{at}", "text": " ".join(text), "label": f"label{label}"})
    return made


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
