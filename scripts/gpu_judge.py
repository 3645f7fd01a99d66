"""A judge at true 7B shape through the product: trained, killed, resumed, merged, asked.

Random weights and a tiny teacher: what is shown is that every part works at that size.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpu_host import NotRun, need_gpu

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


def judge(folder: Path, shape: str) -> dict[str, Any]:
    """Random weights, LoRA, cached top-k: checkpoint, kill, resume, merge, load, answer."""
    if shape == "7b":
        need_gpu()
        import torch

        if torch.cuda.get_device_properties(0).total_memory < 30e9:
            raise NotRun("a 7B student with LoRA wants about 30 GB of GPU memory")
        free = shutil.disk_usage(folder).free
        if free < 60e9:
            raise NotRun(f"{free / 1e9:.0f} GB are free in {folder}; 60 are wanted (--folder)")
    this = [
        sys.executable,
        str(Path(__file__).with_name("gpu_check.py")),
        "--shape",
        shape,
        "--prepare",
        str(folder),
    ]
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


def prepare(folder: Path, shape: str) -> None:
    """Writes base, rows and recipes."""
    make_base(folder / "base", shape)
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


def dataset_row(at: int) -> dict[str, Any]:
    """One of the judge's rows as a training reads it."""
    row = _judged(at)
    turns = [("user", row["shown"]), ("assistant", row["written"])]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"row-{at}", "messages": messages, "fields": {}}


def make_base(folder: Path, shape: str) -> None:
    """A folder of random weights at this shape, in bfloat16 at 7B."""
    make_model(folder, SHAPES[shape], large=shape != "tiny")


def make_model(folder: Path, sizes: Mapping[str, int], *, large: bool = False) -> None:
    """A folder of random weights of these sizes, with a tokenizer of its own."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    from distill.train.tokenizer import build_tokenizer

    rows = [_judged(at) for at in range(200)]
    texts = [f"{row['shown']}\n{row['written']}" for row in rows]
    tokenizer = build_tokenizer(texts, 400, ())
    config = AutoConfig.for_model("llama", **sizes)
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config, name, getattr(tokenizer, name))
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
