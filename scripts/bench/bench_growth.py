"""How cost grows with size: seconds, memory and bytes per row or position must stay flat.

Usage: bench_growth.py [--long] [--only WHAT]; with --only the other parts keep what was measured
before. Every size runs in a process of its own. Generation asks a server
of fixed latency; signals are captured from a tiny teacher, and written as synthetic ones.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_gateway import served
from record import MEGABYTE, RESULTS, Bar, write_result

LATENCY_S, IN_FLIGHT = 0.2, 200
VOCABULARY, K, ROW_POSITIONS = 151_936, 16, 512
SIZES = {
    "rows": ([1_000, 10_000], [1_000, 10_000, 100_000]),
    "filters": ([1_000, 10_000, 100_000], [1_000, 10_000, 100_000]),
    "review": ([1_000, 10_000], [1_000, 10_000, 100_000]),
    "captured": ([20_000, 80_000], [20_000, 200_000, 1_000_000]),
    "synthetic": ([100_000, 500_000], [1_000_000, 10_000_000, 50_000_000]),
}
"""What grows -> its sizes, and those of --long."""
LONGEST_S = 3600
FLAT = 1.5
"""A unit of the largest size may take so many times what one of the smallest takes."""
WARM_ROWS = 200
LEAST_MB = 16.0
WATCH_S = 0.05


def main() -> None:
    """Measures every size and writes results/growth.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--only", choices=sorted(SIZES), help="measure this part alone")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS, metavar=("WHAT", "SIZE", "URL"))
    given = parser.parse_args()
    if given.one:
        what, size, url = given.one
        print(json.dumps(WORK[what](int(size), url)))
        return
    figures: dict[str, dict[str, Any]] = {}
    with served(LATENCY_S) as url:
        for what, (short, long) in SIZES.items():
            if given.only not in (None, what):
                continue
            figures[what] = {}
            for size in long if given.long else short:
                found = figures[what][str(size)] = _apart(what, size, url)
                print(f"{what:10} {size:>11,}  {_line(found)}", flush=True)
    if given.only:
        figures = _before() | figures
    write_result(
        "growth",
        "wall and processor seconds, peak memory and bytes on disk by size",
        settings={
            "latency_s": LATENCY_S,
            "in_flight": IN_FLIGHT,
            "vocabulary": VOCABULARY,
            "k": K,
        },
        figures=figures,
        bars=_bars(figures),
    )


def _before() -> dict[str, dict[str, Any]]:
    path = RESULTS / "growth.json"
    if not path.is_file():
        return {}
    found: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))["figures"]
    return found


def _apart(what: str, size: int, url: str) -> dict[str, Any]:
    """What a process of its own finds; `why` where it could not be measured."""
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--one", what, str(size), url]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=LONGEST_S
        )
    except subprocess.TimeoutExpired:
        return {"why": f"not done in {LONGEST_S} s"}
    if done.returncode:
        return {"why": (done.stderr.strip().splitlines() or ["failed"])[-1][:300]}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _line(found: dict[str, Any]) -> str:
    if "why" in found:
        return str(found["why"])
    parts = [
        f"{name} {1e6 * part['cpu_seconds'] / part['units']:,.0f} us"
        for name, part in found["parts"].items()
    ]
    return f"{', '.join(parts)}; {found['peak_mb'] - found['base_mb']:,.0f} MB more at the peak"


def _bars(figures: dict[str, dict[str, Any]]) -> list[Bar]:
    """The largest size against the smallest but one, where a process's start weighs little."""
    bars = []
    for what, sizes in figures.items():
        known = [found for found in sizes.values() if "why" not in found]
        if len(known) < 2:
            bars.append(Bar(f"{what}: growth", None, at_most=FLAT, why="not measured"))
            continue
        for name, part in known[-1]["parts"].items():
            first = known[-2]["parts"][name]
            before, after = (one["cpu_seconds"] / one["units"] for one in (first, part))
            words = f"{what}, {name}: processor time of one, {part['units']:,} / {first['units']:,}"
            bars.append(Bar(words, after / max(before, 1e-9), at_most=FLAT))
        memory = [one["peak_mb"] - one["base_mb"] for one in known[-2:]]
        units = [next(iter(one["parts"].values()))["units"] for one in known[-2:]]
        least = max(memory[0], LEAST_MB)  # below it, what is measured is the process itself
        words = f"{what}: memory of one, {units[1]:,} / {units[0]:,}"
        bars.append(Bar(words, memory[1] / least / (units[1] / units[0]), at_most=FLAT))
    return bars


class _Clock:
    """Parts of one measurement: wall and processor seconds, and how many units they did."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}
        self._base = self._peak = _anonymous_mb()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._peak = max(self._peak, _anonymous_mb())
            time.sleep(WATCH_S)

    def timed(self, name: str, units: int, work: Callable[[], Any]) -> Any:
        """What the work gives."""
        wall, busy = time.perf_counter(), time.process_time()
        made = work()
        self.parts[name] = {
            "units": units,
            "seconds": time.perf_counter() - wall,
            "cpu_seconds": time.process_time() - busy,
        }
        return made

    def found(self, folder: Path) -> dict[str, Any]:
        """All of it, the peak of this process and what lies in the folder."""
        return {
            "parts": self.parts,
            "base_mb": self._base,
            "peak_mb": max(self._peak, _anonymous_mb()),
            "disk": {
                name: sum(p.stat().st_size for p in folder.glob(pattern) if p.is_file())
                for name, pattern in DISK.items()
            },
        }


DISK = {
    "store": ".distill/*",
    "ledger": "runs/*/ledger*",
    "stages": "runs/*/stages/**/*.parquet",
    "dataset": "runs/*/dataset/*",
    "review": "*.review/**/*",
    "signals": "signals/*",
}


def _anonymous_mb() -> float:
    """Memory of this process's own: pages of mapped files are the system's to take back."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024 / MEGABYTE


def _rows(size: int, url: str) -> dict[str, Any]:
    """A pool answered by the server, sifted by all free filters, split, and the report."""
    from bench_filters import short_rows

    from distill.recipe.load import load_recipe
    from distill.run.walk import run_recipe

    def prepared(folder: Path, count: int) -> Any:
        texts = short_rows(count)
        lines = "".join(json.dumps({"input": text}) + "\n" for text in texts)
        (folder / "pool.jsonl").write_text(lines, "utf-8")
        teacher = {"kind": "openai", "base_url": url, "model": "m", "max_tokens": 60,
                   "concurrency": IN_FLIGHT, "price": {"input": 1, "output": 1}}  # fmt: skip
        (folder / "recipe.yaml").write_text(RECIPE.replace("TEACHER", json.dumps(teacher)), "utf-8")
        return load_recipe(str(folder / "recipe.yaml"))

    with tempfile.TemporaryDirectory() as warm:
        os.chdir(warm)
        run_recipe(prepared(Path(warm), WARM_ROWS), until="split")
        os.chdir("/")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        recipe = prepared(folder, size)
        clock = _Clock()
        clock.timed("generate", size, lambda: run_recipe(recipe, until="generate"))
        clock.timed("filter and split", size, lambda: run_recipe(recipe, until="split"))
        clock.timed("report", size, lambda: run_recipe(recipe, until="split"))
        found = clock.found(folder)
        os.chdir("/")
    return found


RECIPE = """\
version: 1
name: growth
seed: 3
teachers: {big: TEACHER}
budget: {usd: 1000}
task: {kind: generate, input: input, output: output}
data: {pool: pool.jsonl}
generate: {strategy: label_pool, ask: big}
filter:
  - length: {field: input, words: [1, 200]}
  - refusal: {field: output}
  - duplicate: {field: input}
  - near_duplicate: {field: input, similarity: 0.8}
split: {train: 0.9, val: 0.1}
"""


def _filters(size: int, _: str) -> dict[str, Any]:
    from bench_filters import FREE, short_rows, through

    through(FREE, short_rows(WARM_ROWS))
    texts = short_rows(size)
    clock = _Clock()
    clock.timed("all free filters", size, lambda: through(FREE, texts))
    return clock.found(Path("/nonexistent"))


def _review(size: int, _: str) -> dict[str, Any]:
    from bench_review import fill, write_rows

    from distill.review.log import read_log
    from distill.review.merge import merge
    from distill.run.review.place import find_place
    from distill.run.review.work import export, import_file

    with tempfile.TemporaryDirectory() as name:
        source, pack = Path(name) / "rows.jsonl", Path(name) / "pack.csv"
        write_rows(source, size)
        clock = _Clock()
        place = find_place(str(source))
        clock.timed("export", size, lambda: export(place, pack, "csv"))
        fill(pack, "csv")
        clock.timed("import", size, lambda: import_file(place, pack, reviewer="a", dry_run=False))
        log = read_log(place.source.folder)
        clock.timed("merge", size, lambda: merge(place.source, log, "consensus"))
        return clock.found(Path(name))


def _captured(size: int, _: str) -> dict[str, Any]:
    """Positions of a tiny teacher, through the whole capture."""
    import numpy as np
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from distill.capture.local import capture
    from distill.signals.settings import CaptureSettings
    from distill.signals.types import SignalRow
    from teachers.local_model import LocalModel

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        words = 4096
        tokenizer = _word_tokenizer(words)
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="w0", pad_token="w0")
        fast.save_pretrained(folder / "model")
        config = LlamaConfig(
            vocab_size=words, hidden_size=32, intermediate_size=64, num_hidden_layers=1,
            num_attention_heads=2, max_position_embeddings=ROW_POSITIONS, eos_token_id=0,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder / "model")
        teacher = LocalModel.load(str(folder / "model"), chat=False)

        def rows(count: int) -> list[SignalRow]:
            made = []
            for at in range(count):
                ids_T = rng.integers(1, words, 256).astype(np.int32)
                positions_N = np.arange(1, 256, dtype=np.int32)
                made.append(SignalRow(id=f"r{at}", ids_T=ids_T, positions_N=positions_N))
            return made

        def take(count: int, where: str) -> Any:
            settings = CaptureSettings(k=K, codec="set")
            silent = lambda _: None  # noqa: E731
            return capture(rows(count), teacher, fast, settings, folder / where, silent,
                           refuse_guessing=False)  # fmt: skip

        take(20, "warm")
        count = size // 255
        clock = _Clock()
        clock.timed("capture", count * 255, lambda: take(count, "signals"))
        return clock.found(folder)


def _word_tokenizer(words: int) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    tokenizer = Tokenizer(WordLevel({f"w{at}": at for at in range(words)}, unk_token="w0"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def _synthetic(size: int, _: str) -> dict[str, Any]:
    """Made-up signals of a large vocabulary into a cache, and out of it in another order."""
    import numpy as np

    from distill.signals.cache import CacheWriter, SignalCache
    from distill.signals.codecs import encode
    from distill.signals.identity import Identity
    from distill.signals.settings import CaptureSettings
    from distill.signals.types import SignalRow, TopK

    rng = np.random.default_rng(0)
    positions_N = np.arange(1, ROW_POSITIONS + 1, dtype=np.int32)

    def row(at: int) -> SignalRow:
        ids_T = np.full(ROW_POSITIONS + 1, at, np.int32)
        return SignalRow(id=f"r{at}", ids_T=ids_T, positions_N=positions_N)

    def signal(k: int) -> TopK:
        drawn = rng.integers(0, VOCABULARY - k, (ROW_POSITIONS, k))
        ids_E = (np.sort(drawn, axis=1) + np.arange(k)).reshape(-1).astype(np.int32)
        logits = rng.normal(0, 3, (ROW_POSITIONS, k + 1))
        logp_NC = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        starts_M = np.arange(ROW_POSITIONS + 1, dtype=np.int64) * k
        gold_N = np.full(ROW_POSITIONS, -1.0, np.float32)
        logp_E, tail_N = logp_NC[:, :k].reshape(-1), logp_NC[:, k]
        return TopK(gold_N, starts_M, ids_E, logp_E.astype(np.float32), tail_N.astype(np.float32))

    some = [signal(K) for _ in range(16)]
    wide = {k: len(encode(signal(k), "set", VOCABULARY)) / ROW_POSITIONS for k in (K, 64)}
    count = size // ROW_POSITIONS
    with tempfile.TemporaryDirectory() as name:
        settings = CaptureSettings(k=K, codec="set")
        identity = Identity("synthetic", "none", "none", VOCABULARY, settings.checked())

        def write() -> None:
            with CacheWriter(Path(name) / "signals", identity) as writer:
                for at in range(count):
                    writer.add(row(at), some[at % len(some)])
                    if at % 64 == 63:
                        writer.commit()

        def read() -> None:
            cache = SignalCache(Path(name) / "signals")
            for at in rng.permutation(count).tolist():
                cache.read(row(at))

        clock = _Clock()
        clock.timed("write", count * ROW_POSITIONS, write)
        clock.timed("read", count * ROW_POSITIONS, read)
        return clock.found(Path(name)) | {"bytes_per_position_at_k": wide}


WORK: dict[str, Callable[[int, str], dict[str, Any]]] = {
    "rows": _rows,
    "filters": _filters,
    "review": _review,
    "captured": _captured,
    "synthetic": _synthetic,
}


if __name__ == "__main__":
    main()
