"""Forward and backward of the distillation loss from hidden states: seconds and peak memory.

Each variant runs in a process of its own. `products` are the four matrix products that no variant
can do without (both projections, both gradients); `naive` is autograd on whole logits. The machine
may be shared: the best of several repetitions is given, its load average beside it.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
VARIANTS = ("products", "naive", "forward", "recompute")
MEGABYTE = 2**20


def main() -> None:
    """Measure every variant, print a table, write JSON where --out is given."""
    args = _arguments()
    if args.variant:
        print(json.dumps(_measure(args)))
        return
    found = {name: _in_process(name) for name in VARIANTS}
    _print_table(args, found)
    if args.out:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / args.out
        path.write_text(json.dumps(_report(args, found), indent=1) + "\n", encoding="utf-8")
        print(f"written: {path.name}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--student-hidden", type=int, default=512)
    parser.add_argument("--teacher-hidden", type=int, default=1024)
    parser.add_argument("--vocab", type=int, default=32768)
    parser.add_argument("--loss", choices=["forward_kl", "reverse_kl", "jsd"], default="forward_kl")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", help="file name under scripts/bench/results/")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_process(name: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--variant", name]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        command, env=env, check=True, capture_output=True, text=True, timeout=1200
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(args: argparse.Namespace) -> dict[str, float]:
    import torch

    torch.set_num_threads(args.threads)
    run = _variant(args)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    run()
    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": min(seconds),
        "seconds_median": sorted(seconds)[len(seconds) // 2],
        "peak_mb": peak,
        "above_inputs_mb": peak - before,
    }


def _variant(args: argparse.Namespace) -> Callable[[], None]:
    import torch

    from distill.losses.fused_loss import DenseTargets, FusedPlan, HeadTargets, Part, fused_loss
    from distill.losses.objective import terms
    from distill.recipe.training import JSD, ForwardKL, ReverseKL

    kinds = {"forward_kl": ForwardKL, "reverse_kl": ReverseKL, "jsd": JSD}
    loss = kinds[args.loss](kind=args.loss, weight=1.0, ce=0.0)
    torch.manual_seed(0)
    rows, vocab = args.tokens, args.vocab
    x = torch.randn(rows, args.student_hidden, requires_grad=True)
    weight = torch.empty(vocab, args.student_hidden).normal_(std=0.05).requires_grad_()
    states = torch.randn(rows, args.teacher_hidden)
    head = torch.empty(vocab, args.teacher_hidden).normal_(std=0.05)
    labels = torch.randint(vocab, (rows,))

    def clear() -> None:
        x.grad = weight.grad = None

    def products() -> None:
        with torch.no_grad():
            z = x @ weight.t()
            _ = states @ head.t()
            _ = z @ weight
            _ = z.t() @ x

    def naive() -> None:
        clear()
        with torch.no_grad():
            teacher = states @ head.t()
        logq, logp = (x @ weight.t()).log_softmax(-1), teacher.log_softmax(-1)
        if args.loss == "forward_kl":
            value = (logp.exp() * (logp - logq)).sum()
        elif args.loss == "reverse_kl":
            value = (logq.exp() * (logq - logp)).sum()
        else:
            value = terms(logq, labels, loss, teacher).kd.sum
        (value / rows).backward()

    def fused(schedule: Any) -> None:
        clear()
        teacher = DenseTargets(states, lambda some: some @ head.t())
        targets = HeadTargets(labels, loss, teacher, width=vocab)
        found = fused_loss([Part(x, weight)], None, targets, FusedPlan(schedule))
        (found.weighted / rows).backward()

    runs = {"products": products, "naive": naive}
    return runs.get(args.variant, lambda: fused(args.variant))


def _print_table(args: argparse.Namespace, found: dict[str, dict[str, float]]) -> None:
    print(
        f"{args.loss}, {args.tokens} tokens, hidden {args.student_hidden} and "
        f"{args.teacher_hidden}, V = {args.vocab}, float32, {args.threads} threads, load "
        f"{os.getloadavg()[0]:.1f} (a shared machine unless you know better)"
    )
    print(f"{'':10} {'seconds':>8} {'median':>8} {'/ products':>10} {'peak MB':>8} {'above':>7}")
    for name, one in found.items():
        ratio = one["seconds"] / found["products"]["seconds"]
        print(
            f"{name:10} {one['seconds']:8.3f} {one['seconds_median']:8.3f} {ratio:10.2f} "
            f"{one['peak_mb']:8.0f} {one['above_inputs_mb']:7.0f}"
        )


def _report(args: argparse.Namespace, found: dict[str, dict[str, float]]) -> dict[str, Any]:
    import torch

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MEGABYTE
    settings = {key: value for key, value in vars(args).items() if key not in ("out", "variant")}
    return {
        "what": "forward and backward of the distillation loss from hidden states",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "system": platform.system(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "memory_mb": memory,
            "load": os.getloadavg()[0],
            "torch": torch.__version__,
        },
        "settings": settings,
        "variants": found,
    }


if __name__ == "__main__":
    main()
