"""Forward and backward of the distillation loss from hidden states: seconds and peak memory.

Every variant has a process of its own and all take turns, so that a busy minute slows all of them;
the fastest turn counts. `products` are the four matrix products that no variant can do without.
TRL runs in an environment of its own. Usage: bench_kd_loss.py [--long] [SHAPE ...]
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers import peer_python
from record import MEGABYTE, Bar, write_result

TRL = ("trl==1.16.0", "transformers==5.23.0", "torch")
WORKER = Path(__file__).with_name("kd_loss_variants.py")
VARIANTS = ("products", "naive", "trl", "prototype", "forward", "recompute")
COMMON = {"tokens": 1024, "student_hidden": 512, "teacher_hidden": 1024, "threads": 2}
SHAPES: Mapping[str, Mapping[str, Any]] = {
    "forward KL, V=32768": {"loss": "forward_kl", "vocab": 32_768, "turns": 3},
    "JSD 0.5, V=32768": {"loss": "jsd", "vocab": 32_768, "turns": 3},
    "forward KL, V=151936": {"loss": "forward_kl", "vocab": 151_936, "turns": 2},
}
OVER_PROTOTYPE, BUFFERS = 1.05, 3
OVER_PRODUCTS = {"forward_kl": 1.3, "jsd": 1.6}
TRL_OVER_OURS = {32_768: 2.0, 151_936: 1.7}
SAME_LOSS = 1e-4


def main() -> None:
    """Measures every shape that was named, or all; writes results/kd_loss.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", choices=[[], *SHAPES], metavar="SHAPE")
    parser.add_argument("--long", action="store_true", help="three times as many turns")
    parser.add_argument("--turns", type=int, help="of every variant; absent: by shape")
    args = parser.parse_args()
    trl_python = peer_python("trl", *TRL)
    figures, bars = {}, []
    for name in args.shapes or SHAPES:
        shape = {**COMMON, **SHAPES[name]}
        turns = args.turns or shape["turns"] * (3 if args.long else 1)
        found = _measure(shape, turns, trl_python)
        _print_table(name, found)
        figures[name] = found
        bars += _bars(name, shape, found)
    write_result(
        "kd_loss",
        "forward and backward of the distillation loss from hidden states",
        settings={"shapes": {name: {**COMMON, **SHAPES[name]} for name in figures}},
        figures=figures,
        bars=bars,
        versions={"torch": version("torch"), "trl": TRL[0].partition("==")[2]},
    )


def _measure(shape: Mapping[str, Any], turns: int, trl_python: Path | None) -> dict[str, Any]:
    """The fastest and the middle turn and the peak of every variant that can run."""
    with ExitStack() as stack:
        running = {}
        for name in VARIANTS:
            python = trl_python if name == "trl" else Path(sys.executable)
            if python is not None:
                running[name] = stack.enter_context(_started(name, python, shape))
        told: dict[str, list[dict[str, float]]] = {name: [] for name in running}
        for _ in range(turns):
            for name, (process, _) in running.items():
                told[name].append(_turn(process))
        inputs = {name: first for name, (_, first) in running.items()}
    losses = {name: runs[0]["loss"] for name, runs in told.items() if name != "products"}
    wanted = losses["naive"]
    for name, loss in losses.items():
        assert abs(loss - wanted) <= SAME_LOSS * wanted, f"{name} works out another loss: {losses}"
    return {name: _figures(runs, inputs[name]) for name, runs in told.items()}


@contextmanager
def _started(
    name: str, python: Path, shape: Mapping[str, Any]
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The process of a variant, and what it says of its inputs."""
    env = os.environ | {"OMP_NUM_THREADS": str(shape["threads"]), "HF_HUB_OFFLINE": "1"}
    if name != "trl":
        env["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [str(python), str(WORKER), name, json.dumps(dict(shape))]
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, _line(process)
        finally:
            process.kill()


def _turn(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdin
    process.stdin.write("run\n")
    process.stdin.flush()
    return _line(process)


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args} ended without an answer")
    found: dict[str, Any] = json.loads(line)
    return found


def _figures(runs: list[dict[str, float]], inputs: Mapping[str, Any]) -> dict[str, Any]:
    seconds = sorted(run["seconds"] for run in runs)
    return {
        "seconds": seconds[0],
        "seconds_median": seconds[len(seconds) // 2],
        "cpu_seconds": min(run["cpu_seconds"] for run in runs),
        "peak_mb": runs[-1]["peak"] / MEGABYTE,
        "above_mb": runs[-1]["above"] / MEGABYTE,
        "buffer_mb": inputs["buffer"] and inputs["buffer"] / MEGABYTE,
        "loss": runs[0]["loss"],
    }


def _bars(name: str, shape: Mapping[str, Any], found: Mapping[str, Any]) -> list[Bar]:
    ours, seconds = found["forward"], found["forward"]["seconds"]
    trl = found["trl"]["seconds"] / seconds if "trl" in found else None
    products = seconds / found["products"]["seconds"]
    return [
        Bar(
            f"{name}: seconds, ours / prototype",
            seconds / found["prototype"]["seconds"],
            at_most=OVER_PROTOTYPE,
        ),
        Bar(
            f"{name}: seconds, TRL / ours",
            trl,
            at_least=TRL_OVER_OURS[shape["vocab"]],
            why="no environment for TRL",
        ),
        Bar(f"{name}: seconds, ours / products", products, at_most=OVER_PRODUCTS[shape["loss"]]),
        Bar(
            f"{name}: peak above weights, gradients and inputs, in [chunk, V] buffers",
            ours["above_mb"] / ours["buffer_mb"],
            at_most=BUFFERS,
        ),
    ]


def _print_table(name: str, found: Mapping[str, Any]) -> None:
    print(f"{name}, {COMMON}, float32, load {os.getloadavg()[0]:.1f}")
    print(
        f"{'':10} {'seconds':>8} {'median':>8} {'cpu s':>8} {'/ products':>10} {'peak MB':>8} "
        f"{'above MB':>8} {'buffers':>8}"
    )
    for variant, one in found.items():
        ratio = one["seconds"] / found["products"]["seconds"]
        buffers = f"{one['above_mb'] / one['buffer_mb']:8.2f}" if one["buffer_mb"] else ""
        print(
            f"{variant:10} {one['seconds']:8.3f} {one['seconds_median']:8.3f} "
            f"{one['cpu_seconds']:8.3f} {ratio:10.2f} {one['peak_mb']:8.0f} "
            f"{one['above_mb']:8.0f} {buffers}",
            flush=True,
        )


if __name__ == "__main__":
    main()
