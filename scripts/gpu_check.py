"""What only a CUDA host can show: bf16, 4-bit LoRA, flash attention, a judge at true 7B shape.

Each check goes through the product. One that cannot run here is "not run", with the reason.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "bench"))
from record import write_result

TORCH = (2, 6)
TRANSFORMERS = ((5, 10), (5, 23))
"""Oldest and newest minor that these checks were written for."""
PACKAGES = (
    "torch", "transformers", "peft", "accelerate", "deepspeed", "bitsandbytes", "flash_attn",
)  # fmt: skip
SHAPES: Mapping[str, Mapping[str, Any]] = {
    # Llama-2 7B (Touvron et al. 2023, arXiv:2307.09288): 6.74e9 parameters.
    "7b": {
        "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 4096, "vocab_size": 32000,
    },
    "tiny": {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "max_position_embeddings": 256, "vocab_size": 512,
    },
}  # fmt: skip
STEPS, SAVED, WAIT_S = 20, 8, 7200
COLOURS = ("red", "green", "blue", "grey")


class NotRun(Exception):
    """The reason why a check cannot run here."""


@dataclass
class Check:
    """One line of the result."""

    name: str
    status: str = "not run"
    """passed, failed or not run."""
    why: str = ""
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Runs the checks that were named, or all; prints a table and writes the JSON."""
    args = _arguments()
    if args.prepare:
        _prepare(args.prepare, args.shape)
        return
    checks = []
    for name in args.names or CHECKS:
        check = Check(name)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=args.folder) as folder, _told(check):
            check.figures = CHECKS[name](Path(folder), args.shape)
        check.seconds = time.monotonic() - started
        checks.append(check)
        print(f"{check.status:8} {check.name} {check.why}", flush=True)
    write_result(
        args.out,
        "checks on a CUDA host, each through the product",
        settings={"shape": args.shape, "hardware": _hardware(), "written_for": _written_for()},
        figures=[asdict(check) for check in checks],
        versions=_versions(),
    )
    sys.exit(any(check.status == "failed" for check in checks))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[[], *CHECKS], metavar="CHECK")
    parser.add_argument("--shape", choices=SHAPES, default="7b")
    parser.add_argument("--folder", help="where the weights go; about 60 GB at 7B shape")
    parser.add_argument("--out", default="gpu_check", help="name of the result")
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


@contextmanager
def _told(check: Check) -> Iterator[None]:
    try:
        yield
        check.status = "passed"
    except NotRun as reason:
        check.why = str(reason)
    except Exception as error:
        check.status = "failed"
        check.why = f"{type(error).__name__}: {error}"[:2000]


def _hardware() -> dict[str, Any]:
    try:
        import torch
    except ImportError:
        return {"gpus": []}
    count = torch.cuda.device_count()
    properties = [torch.cuda.get_device_properties(at) for at in range(count)]
    return {
        "gpus": [{"name": one.name, "memory_gb": one.total_memory / 1e9} for one in properties],
        "cuda": torch.version.cuda,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _written_for() -> str:
    (oldest, newest), least = TRANSFORMERS, TORCH
    return (
        f"torch >= {least[0]}.{least[1]}, transformers {oldest[0]}.{oldest[1]} to "
        f"{newest[0]}.{newest[1]}"
    )


def _need_gpu() -> None:
    """Raises NotRun without a GPU, or with other packages than these checks were written for."""
    for name in ("torch", "transformers", "peft"):
        if find_spec(name) is None:
            raise NotRun(f"the package {name} is absent: pip install 'distill-kit[train]'")
    import torch

    if _minor("torch") < TORCH:
        raise NotRun(f"torch {version('torch')} is older than {TORCH[0]}.{TORCH[1]}")
    oldest, newest = TRANSFORMERS
    if not oldest <= _minor("transformers") <= newest:
        raise NotRun(f"transformers {version('transformers')}; written for {_written_for()}")
    if not torch.cuda.is_available():
        raise NotRun("torch sees no CUDA GPU")


def _minor(package: str) -> tuple[int, int]:
    major, minor = version(package).split(".")[:2]
    return int(major), int(minor)


def _need_package(name: str, line: str) -> None:
    if find_spec(name) is None:
        raise NotRun(f"the package {name} is absent: {line}")


# -- small trainings


def _tiny_train(folder: Path, name: str, student: Mapping[str, Any], **train: Any) -> Any:
    """The result of a small training in this process."""
    from distill.progress import silent
    from distill.train.plan import TrainPlan
    from distill.train.stage import train as run

    base = folder / "base"
    if not base.is_dir():
        _make_base(base, "tiny")
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps(_dataset_row(at)) + "\n" for at in range(64)))
    settings = {"batch": 8, "steps": 30, "max_length": 128, "lr": 5e-3, **train}
    spec = {"model": str(base), **student}
    return run(TrainPlan(str(rows), spec, str(base), settings, str(folder / name)), None, silent)


def _losses(result: Any) -> list[float]:
    return [point["loss"] for point in result.curve if "loss" in point]


def _near(one: list[float], other: list[float], share: float) -> float:
    """The largest relative difference.

    Raises: AssertionError where it is over the share.
    """
    worst = max(abs(a - b) / max(abs(b), 1e-9) for a, b in zip(one, other, strict=True))
    assert worst <= share, f"losses differ by {worst:.3%}: {one} and {other}"
    return worst


def bf16(folder: Path, _: str) -> dict[str, Any]:
    """bfloat16 against float32 on the same GPU: losses of ten steps within 2 %."""
    _need_gpu()
    import torch

    if not torch.cuda.is_bf16_supported():
        raise NotRun(f"{torch.cuda.get_device_name()} has no bfloat16")
    half = _tiny_train(folder, "bf16", {}, steps=10)
    full = _tiny_train(folder, "float32", {}, steps=10, trainer={"bf16": False})
    worst = _near(_losses(half), _losses(full), 0.02)
    return {"largest_difference": worst, "losses": _losses(half)}


def qlora(folder: Path, _: str) -> dict[str, Any]:
    """A 4-bit base with LoRA learns its rows; the adapter loads."""
    _need_gpu()
    _need_package("bitsandbytes", "pip install 'distill-kit[quant]'")
    result = _tiny_train(folder, "qlora", {"method": "qlora", "lora": {"r": 8}}, lr=2e-2)
    assert result.loss_last < 0.8 * result.loss_first, _losses(result)
    assert 0 < result.trainable_share < 0.5, result.trainable_share
    from teachers.local_model import LocalModel

    model = LocalModel.load(result.model_dir)
    model.release()
    return {"losses": _losses(result), "trainable_share": result.trainable_share}


def flash_attention(folder: Path, _: str) -> dict[str, Any]:
    """Packed rows under flash attention against padded ones without it: losses within 2 %."""
    _need_gpu()
    _need_package("flash_attn", "pip install flash-attn")
    flash = {"attention": "flash_attention_2", "method": "lora"}
    packed = _tiny_train(folder, "flash", flash, steps=10, packing=True)
    padded = _tiny_train(folder, "padded", {"method": "lora"}, steps=10)
    worst = _near(_losses(packed), _losses(padded), 0.02)
    return {"largest_difference": worst, "losses": _losses(packed)}


# -- the judge


def judge(folder: Path, shape: str) -> dict[str, Any]:
    """Random weights, LoRA, cached top-k: checkpoint, kill, resume, merge, load, answer."""
    if shape == "7b":
        _need_gpu()
        import torch

        if torch.cuda.get_device_properties(0).total_memory < 30e9:
            raise NotRun("a 7B student with LoRA wants about 30 GB of GPU memory")
        free = shutil.disk_usage(folder).free
        if free < 60e9:
            raise NotRun(f"{free / 1e9:.0f} GB are free in {folder}; 60 are wanted (--folder)")
    this = [sys.executable, str(Path(__file__)), "--shape", shape, "--prepare", str(folder)]
    subprocess.run(this, check=True, timeout=WAIT_S)  # a process of its own gives memory back
    command = [sys.executable, "-m", "distill", "run", "judge.yaml", "--run-dir", "run", "--json"]
    step = _run_and_kill(command, folder)
    started = time.monotonic()
    report = _run(command, folder)
    training = report["training"]
    assert training["steps"] == STEPS, training
    steps = [point["step"] for point in report["curves"]["student"] if "loss" in point]
    assert steps[-1] == STEPS, steps
    asked = [sys.executable, "-m", "distill", "predict", "run", "asked.jsonl", "--to", "out.jsonl"]
    _run([*asked, "--json"], folder)
    answers = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert len(answers) == 2, answers
    assert all("answer" in answer for answer in answers), answers
    config = json.loads((folder / "run" / "student" / "config.json").read_text())
    assert config["hidden_size"] == SHAPES[shape]["hidden_size"]
    assert not (folder / "run" / "student" / "adapter_config.json").exists()
    return {
        "killed_after_step": step,
        "seconds_after_the_kill": time.monotonic() - started,
        "training": training,
        "answers": [str(answer["answer"])[:80] for answer in answers],
    }


def _run(command: list[str], folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _run_and_kill(command: list[str], folder: Path) -> int:
    """Kills the run with everything that it started once a checkpoint is whole; its step."""
    with (folder / "first.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        end = time.monotonic() + WAIT_S
        try:
            while time.monotonic() < end:
                states = folder.glob(
                    "run/stages/*-train/student/*/checkpoints/*/trainer_state.json"
                )
                for state in states:
                    step = _step_of(state)
                    if SAVED <= step < STEPS:
                        return step
                if process.poll() is not None:
                    break
                time.sleep(0.05)
        finally:
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            process.wait()
    raise AssertionError("no checkpoint to kill at: " + (folder / "first.log").read_text()[-1500:])


def _step_of(state: Path) -> int:
    try:
        return int(json.loads(state.read_text())["global_step"])
    except (OSError, ValueError):
        return 0


RECIPE = """\
version: 1
name: judge
seed: 1
teachers:
  big: {kind: local, recipe: teacher.yaml}
task: {kind: generate, input: shown, output: verdict}
data: {pool: pool.jsonl}
generate: {fields: {verdict: {render: "{{ written }}"}}}
student: {model: ./base, method: lora, lora: {r: 16}}
train:
  signal: {kind: topk, from: big, k: 16}
  loss: {kind: forward_kl, weight: 0.5, ce: 0.5}
  batch: 8
  steps: STEPS
  lr: 2.0e-4
  max_length: 128
  trainer: {save_steps: 4, gradient_checkpointing: true}
export: {merge: true, license: mit}
"""
TEACHER = """\
version: 1
name: judge-teacher
task: {kind: generate, input: shown, output: verdict}
data: {pool: pool.jsonl}
generate: {fields: {verdict: {render: "{{ written }}"}}}
student:
  init: scratch
  tokenizer: ./base
  config: {model_type: llama, hidden_size: 64, intermediate_size: 128, num_hidden_layers: 2,
           num_attention_heads: 2, max_position_embeddings: 256, vocab_size: VOCABULARY}
train: {batch: 16, steps: 60, lr: 5.0e-3, max_length: 128}
"""


def _prepare(folder: Path, shape: str) -> None:
    """Writes base, rows and recipes."""
    _make_base(folder / "base", shape)
    rows = [_judged(at) for at in range(200)]
    (folder / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [{"shown": row["shown"]} for row in rows[:2]]
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    (folder / "judge.yaml").write_text(RECIPE.replace("STEPS", str(STEPS)))
    size = str(SHAPES[shape]["vocab_size"])
    (folder / "teacher.yaml").write_text(TEACHER.replace("VOCABULARY", size))


def _judged(at: int) -> dict[str, str]:
    colour, said = COLOURS[at % 4], COLOURS[(at * 7 + at // 3) % 4]
    score = 5 if colour == said else 1
    shown = f"Case {at}. Instruction: name the colour {colour}. Response: it is {said}. Score 1-5."
    return {"shown": shown, "written": f" The response says {said}. VERDICT: {score}"}


def _dataset_row(at: int) -> dict[str, Any]:
    row = _judged(at)
    turns = [("user", row["shown"]), ("assistant", row["written"])]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"row-{at}", "messages": messages, "fields": {}}


def _make_base(folder: Path, shape: str) -> None:
    """A folder of random weights at this shape with a tokenizer of its own, in bfloat16 at 7B."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    from distill.train.tokenizer import build_tokenizer

    rows = [_judged(at) for at in range(200)]
    texts = [f"{row['shown']}\n{row['written']}" for row in rows]
    tokenizer = build_tokenizer(texts, 400, ())
    config = AutoConfig.for_model("llama", **SHAPES[shape])
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, getattr(tokenizer, name))
    large = shape != "tiny"
    torch.manual_seed(0)
    with torch.device("cuda" if large else "cpu"):
        dtype = torch.bfloat16 if large else torch.float32
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


CHECKS: Mapping[str, Callable[[Path, str], dict[str, Any]]] = {
    "bf16": bf16,
    "qlora": qlora,
    "flash_attention": flash_attention,
    "judge": judge,
}


if __name__ == "__main__":
    main()
