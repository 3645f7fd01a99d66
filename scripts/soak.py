"""A long disturbed run against an undisturbed one: what `soak.sh` calls.

The teacher is the scripted server in a process of its own. The run is killed at random moments
(SIGKILL) and meets a full disk halfway; it is started again each time. In the end the datasets are
compared byte for byte, and the answers that the server gave with the asks that there are: an answer
may be paid twice only if it was in flight when the run was stopped.
"""

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts" / "bench"))

from record import MEGABYTE, Bar, write_result  # noqa: E402

IN_FLIGHT = 200
LATENCY_S = 2.0
BUSY = 0.6
"""Share of the time in which requests are in flight; the rest goes to starts and kills."""
ERRORS = 0.01
"""Share of requests that the server refuses with 500."""
LABELS = ("billing", "bug", "other")
DISK_BYTES_PER_ROW, DISK_LEAST = 6_000, 64 * MEGABYTE
PAID = ("answered", "wrong", "refused", "malformed")
RECIPE = """\
version: 1
name: soak
seed: 3
teachers:
  big: {kind: openai, base_url: "URL", model: m, max_tokens: 20, concurrency: IN_FLIGHT,
        price: {input: 1, output: 1}}
budget: {usd: 1000}
task: {kind: classify, labels: [billing, bug, other]}
data: {pool: pool.jsonl}
generate: {strategy: label_pool, ask: big}
filter:
  - length: {field: text, words: [3, 90]}
  - duplicate
split: {train: 0.9, val: 0.1}
"""


@dataclass
class Soak:
    """What happened."""

    stops: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0


def main() -> None:
    """Runs both and writes results/soak.json; exits with 1 where they differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kills", type=int, help="default: one a minute, at least 3")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    kills = given.kills or max(3, round(given.minutes))
    rows = int(given.minutes * 60 * IN_FLIGHT / LATENCY_S * BUSY)
    luck = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        calm, rough = Path(name) / "calm", Path(name) / "rough"
        calm.mkdir()
        with _served(0.0) as server:
            _prepare(calm, rows, server)
            print(f"undisturbed: {rows:,} rows", flush=True)
            code, said = _finish(_start(calm))
            if code:
                sys.exit(f"the undisturbed run failed: {said[-500:]}")
            wanted = _paid(server)
        with _served(LATENCY_S) as server, _disk(rough, rows) as limited:
            _prepare(rough, rows, server)
            soak = _disturbed(rough, server, kills, given.minutes * 60, luck, limited)
            figures = _compared(calm, rough, wanted, _paid(server), soak)
    figures |= {"rows": rows, "kills": kills, "disk": limited or "a tmpfs that was filled up"}
    settings = {"minutes": given.minutes, "in_flight": IN_FLIGHT, "latency_s": LATENCY_S,
                "seed": given.seed}  # fmt: skip
    bars = [
        Bar("datasets that differ from the undisturbed run's", figures["differ"], at_most=0),
        Bar("answers that are missing", figures["missing"], at_most=0),
        Bar(
            "answers paid twice, for each stop at most what was in flight",
            figures["paid_twice"],
            at_most=IN_FLIGHT * len(soak.stops),
        ),
    ]
    write_result("soak", __doc__.splitlines()[0], settings=settings, figures=figures, bars=bars)
    sys.exit(0 if all(bar.met for bar in bars) else 1)


def _prepare(folder: Path, rows: int, url: str) -> None:
    words = ("invoice", "crash", "hello", "refund", "freeze", "thanks")
    with (folder / "pool.jsonl").open("w", encoding="utf-8") as file:
        for at in range(rows):
            label = LABELS[at % 3]
            text = f"case {at} {words[at % 6]} {words[at // 6 % 6]} about {label}"
            file.write(json.dumps({"text": text}) + "\n")
    text = RECIPE.replace("URL", url).replace("IN_FLIGHT", str(IN_FLIGHT))
    (folder / "recipe.yaml").write_text(text, "utf-8")


@contextmanager
def _served(latency_s: float) -> Iterator[str]:
    """The address of the scripted teacher, right nine times out of ten."""
    rules = json.dumps([{"when": "about (billing|bug|other)", "answers": ["{1}"]}])
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as config:
        config.write(f"script: {rules}\nwrong: 0.1\nchoices: {json.dumps(LABELS)}\n")
        config.flush()
        command = [sys.executable, "-m", "teachers.scripted", "--port", "0", "--config"]
        options = [config.name, "--latency-s", str(latency_s), "--error-rate", str(ERRORS)]
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, text=True, env=_environment()
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.kill()
            process.wait(timeout=10)


@contextmanager
def _disk(folder: Path, rows: int) -> Iterator[str]:
    """A small disk at the folder; what stands for a full one where it cannot be mounted."""
    folder.mkdir()
    size = max(DISK_LEAST, rows * DISK_BYTES_PER_ROW)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        yield "no right to mount one: the size of files was limited instead"
        return
    try:
        yield ""
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=60)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def _start(folder: Path, file_limit: int | None = None) -> "subprocess.Popen[str]":
    def limit() -> None:
        if file_limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that writing fails, as on a disk
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    return subprocess.Popen(
        [sys.executable, "-m", "distill", "generate", "recipe.yaml", "--yes", "--quiet"],
        cwd=folder, env=_environment(), preexec_fn=limit,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def _finish(process: "subprocess.Popen[str]", timeout: float | None = None) -> tuple[int, str]:
    said = process.communicate(timeout=timeout)[1]
    return process.returncode, said


def _stats(url: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/stats", timeout=30) as reply:
        found: dict[str, int] = json.load(reply)
    return found


def _paid(url: str) -> int:
    found = _stats(url)
    return sum(found.get(name, 0) for name in PAID)


def _disturbed(
    folder: Path, url: str, kills: int, seconds: float, luck: random.Random, limited: str
) -> Soak:
    """Kill the run at random moments, fill the disk halfway, and start it again until it ends."""
    soak, started = Soak(), time.monotonic()
    moments = sorted(luck.uniform(0.03, 0.97) for _ in range(kills))
    plan = [(share * seconds, "kill") for share in moments] + [(0.5 * seconds, "full disk")]
    for at, what in sorted(plan):
        process = _start(folder)
        try:
            process.wait(max(0.5, at - (time.monotonic() - started)))
        except subprocess.TimeoutExpired:
            pass
        else:
            break  # faster than planned
        if what == "kill":
            process.kill()
            _finish(process, 60)
            note: dict[str, Any] = {}
        elif limited:
            process.kill()
            _finish(process, 60)
            note = _limited_files(folder)
        else:
            note = _filled(folder, process)
        stop = {"after_s": round(time.monotonic() - started, 1), "what": what, **note}
        stop["paid_so_far"] = _paid(url)
        soak.stops.append(stop)
        print(json.dumps(stop), flush=True)
    code, said = _finish(_start(folder))
    if code:
        sys.exit(f"the disturbed run failed: {said[-500:]}")
    soak.seconds = time.monotonic() - started
    soak.peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MEGABYTE
    return soak


def _filled(folder: Path, process: "subprocess.Popen[str]") -> dict[str, Any]:
    """Fill the disk under a running process, wait for it to end, and give the space back."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * MEGABYTE)
        except OSError:
            pass
    began = time.monotonic()
    code, said = _finish(process, 300)
    filler.unlink()
    return {
        "code": code,
        "noticed_after_s": round(time.monotonic() - began, 1),
        "said": _last(said),
    }


def _limited_files(folder: Path) -> dict[str, Any]:
    """Start the run where no file may grow beyond what the largest has."""
    largest = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    code, said = _finish(_start(folder, largest), 600)
    return {"code": code, "said": _last(said)}


def _last(said: str) -> str:
    return " ".join(said.split())[-300:]


def _compared(calm: Path, rough: Path, wanted: int, paid: int, soak: Soak) -> dict[str, Any]:
    names = ("train.jsonl", "val.jsonl")
    pairs = [
        [(folder / "runs" / "soak" / "dataset" / name).read_bytes() for folder in (calm, rough)]
        for name in names
    ]
    return {
        "unique_asks": wanted,
        "answers_paid": paid,
        "paid_twice": paid - wanted,
        "missing": max(0, wanted - paid),
        "differ": sum(one != other for one, other in pairs),
        "dataset_bytes": sum(len(one) for one, _ in pairs),
        "seconds": soak.seconds,
        "peak_mb": soak.peak_mb,
        "stops": soak.stops,
    }


if __name__ == "__main__":
    main()
