"""A training step from a cached top-k signal beside a plain step on text, same rows and batch.

Each variant trains through the product in a process of its own; the best of several steps counts,
because the machine may be shared. Bars: 1.10 times the seconds, 1.05 times the peak memory.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from record import MEGABYTE, Bar, write_result

VARIANTS = ("text", "topk")
SIZES: Mapping[str, Any] = {
    "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4,
    "num_attention_heads": 4, "max_position_embeddings": 512,
}  # fmt: skip
SECONDS_BAR, MEMORY_BAR = 1.10, 1.05


def main() -> None:
    """Measures both variants in turns and writes JSON."""
    args = _arguments()
    if args.variant:
        print(json.dumps(_measure(args)))
        return
    found: dict[str, list[dict[str, float]]] = {name: [] for name in VARIANTS}
    for _ in range(args.repeats):
        for name in VARIANTS:
            found[name].append(_in_process(name))
    best = {
        name: {key: min(one[key] for one in runs) for key in runs[0]}
        for name, runs in found.items()
    }
    seconds = best["topk"]["seconds"] / best["text"]["seconds"]
    memory = best["topk"]["peak_mb"] / best["text"]["peak_mb"]
    write_result(
        "train_step",
        "a training step from a cached top-k signal beside one on text",
        settings={key: value for key, value in vars(args).items() if key != "variant"},
        figures={"best": best, "runs": found},
        bars=[
            Bar("seconds of a step, top-k / text", seconds, at_most=SECONDS_BAR),
            Bar("peak memory, top-k / text", memory, at_most=MEMORY_BAR),
        ],
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=32, help="of a batch")
    parser.add_argument("--tokens", type=int, default=128, help="of a row, half of them learnt")
    parser.add_argument("--vocab", type=int, default=32768)
    parser.add_argument("--k", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--long", action="store_true", help="more steps and repeats")
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.long and not args.variant:
        args.steps, args.repeats = 3 * args.steps, 2 * args.repeats
    return args


def _in_process(name: str) -> dict[str, float]:
    command = [sys.executable, __file__, *sys.argv[1:], "--variant", name]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, env=env, check=True, capture_output=True, text=True, timeout=1200
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _measure(args: argparse.Namespace) -> dict[str, float]:
    """Seconds of the fastest step after the first two, and the peak of this process."""
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch

    from distill.train.plan import TrainPlan
    from distill.train.stage import train

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        base = _base(out / "base", args)
        plan = TrainPlan(
            rows_path=_rows(out / "rows.jsonl", args),
            student={"model": base},
            base=base,
            train={
                "batch": args.rows,
                "micro_batch": args.rows,
                "steps": args.steps,
                "max_length": args.tokens,
                "loss": {"kind": "forward_kl", "weight": 0.5, "ce": 0.5},
                "trainer": {"logging_steps": 1, "save_strategy": "no"},
            },
            out_dir=str(out / "out"),
        )
        if args.variant == "topk":
            plan = _with_cache(plan, out / "signals", args)
        torch.set_num_threads(args.threads)
        clock: list[float] = []
        train(plan, None, lambda progress: clock.append(time.perf_counter()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / MEGABYTE
    steps = [after - before for before, after in pairwise(clock[1:])]
    return {"seconds": min(steps), "peak_mb": peak}


def _base(folder: Path, args: argparse.Namespace) -> str:
    from transformers import AutoTokenizer

    from distill.train.initialise import make_student

    config = {"model_type": "llama", "vocab_size": args.vocab, **SIZES}
    spec = {"init": "scratch", "config": config, "tokenizer": {"bpe": 400}}
    made = make_student(spec, None, [_text(at, 200) for at in range(50)], 1, folder)
    # Every column of the output layer stands for a token, as it does in a real vocabulary.
    tokenizer = AutoTokenizer.from_pretrained(made)
    tokenizer.add_tokens([f"<unused {at}>" for at in range(len(tokenizer), args.vocab)])
    tokenizer.save_pretrained(made)
    return made


def _rows(path: Path, args: argparse.Namespace) -> str:
    with path.open("w") as file:
        for at in range(4 * args.rows):
            turns = [("user", _text(at, args.tokens)), ("assistant", _text(at + 7, args.tokens))]
            messages = [{"role": role, "content": content} for role, content in turns]
            file.write(
                json.dumps({"id": f"row-{at:04}", "messages": messages, "fields": {}}) + "\n"
            )
    return str(path)


def _text(at: int, words: int) -> str:
    """About half as many tokens as `words` asks for, so that prompt and answer fill a row."""
    names = ("red", "green", "blue", "sky", "rose", "grass", "old", "very")
    return " ".join(
        names[(at * 5 + place * (at % 7 + 1)) % len(names)] for place in range(words // 4)
    )


def _with_cache(plan: Any, folder: Path, args: argparse.Namespace) -> Any:
    """The plan with a cache of made-up signals in which the written token is the likeliest."""
    from dataclasses import replace

    import torch

    from distill.signals.cache import CacheWriter
    from distill.signals.identity import Identity
    from distill.signals.select import select_top_k
    from distill.signals.settings import CaptureSettings
    from distill.signals.vocabulary import fingerprint
    from distill.train.cached_signal import signal_row
    from distill.train.stage import encoded_rows

    signal = {"kind": "topk", "k": args.k, "codec": "set"}
    plan = replace(plan, train={**plan.train, "signal": signal}, signals=str(folder))
    tokenizer, rows = encoded_rows(plan)
    settings = CaptureSettings(kind="topk", k=args.k)
    identity = Identity("made up", "none", fingerprint(tokenizer), len(tokenizer), settings)
    stream = torch.Generator().manual_seed(0)
    with CacheWriter(folder, identity) as writer:
        for row in map(signal_row, rows):
            gold_N = torch.from_numpy(row.gold_N).long()
            logits_NV = torch.randn(len(gold_N), len(tokenizer), generator=stream)
            logits_NV[torch.arange(len(gold_N)), gold_N] += 8
            writer.add(row, select_top_k(logits_NV, gold_N, k=args.k))
        writer.commit()
    return plan


if __name__ == "__main__":
    main()
