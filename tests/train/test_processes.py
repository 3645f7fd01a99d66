"""Several processes train as one does."""

import os
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from distill.capture.local import capture
from distill.progress import silent
from distill.signals.settings import CaptureSettings
from distill.train.cached_signal import signal_row
from distill.train.launch import WORKER, launcher_command
from distill.train.plan import finished
from distill.train.stage import encoded_rows, train
from teachers.local_model import LocalModel

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
WORDS = ("red", "red rose", "very red", "green", "blue", "a green cat")
DENSE = {"signal": {"kind": "dense"}, "loss": {"kind": "forward_kl", "weight": 0.9, "ce": 0.1}}


def _run(plan, tmp_path, teacher, processes):
    path = tmp_path / f"{Path(plan.out_dir).name}.json"
    plan.write(path)
    command = launcher_command(path, processes)
    command = [
        *command[: command.index(WORKER) - 1],
        str(Path(__file__).with_name("zero_worker.py")),
    ]
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, str(path), teacher],
        env=env,
        timeout=300,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return finished(plan)


def _losses(result):
    return [point["loss"] for point in result.curve if "loss" in point]


def _same(one, other):
    assert _losses(one) == pytest.approx(_losses(other), abs=1e-4)
    assert one.val_loss == pytest.approx(other.val_loss, abs=1e-4)
    ours, theirs = (load_file(Path(r.model_dir) / "model.safetensors") for r in (one, other))
    assert ours.keys() == theirs.keys()
    for name, weight in ours.items():
        assert (weight - theirs[name]).abs().max() < 1e-3


@pytest.fixture
def alone(make_plan, teacher_folder, tmp_path, write_rows, records):
    """The plan with validation rows, and what one process makes of it."""
    val = write_rows(tmp_path / "val.jsonl", records(5))
    plan = make_plan("alone", count=12, changes={"val_path": val}, **DENSE)
    return plan, train(plan, lambda: LocalModel.load(teacher_folder), silent)


def _again(plan, name, **settings):
    out = Path(plan.out_dir).with_name(name)
    fields = {**plan.as_dict(), "out_dir": str(out), "train": {**plan.train, **settings}}
    return type(plan).from_dict(fields)


def test_two_processes_under_zero_2_equal_one(alone, tmp_path, teacher_folder):
    """Two processes, two accumulation steps, ZeRO-2: the losses and weights of one process."""
    plan, want = alone
    settings = {"micro_batch": 2, "deepspeed": "zero2"}
    _same(_run(_again(plan, "zero2", **settings), tmp_path, teacher_folder, 2), want)


@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", [None, "zero3"])
def test_two_processes_equal_one(alone, tmp_path, teacher_folder, deepspeed):
    """Plain data parallelism, and ZeRO-3 with a whole teacher on each rank, change nothing."""
    plan, want = alone
    settings = {"micro_batch": 2, "deepspeed": deepspeed}
    _same(_run(_again(plan, f"two-{deepspeed}", **settings), tmp_path, teacher_folder, 2), want)


@pytest.mark.slow
def test_one_process_under_zero_3(alone, tmp_path, teacher_folder):
    """A launched single process can shard too."""
    plan, want = alone
    _same(_run(_again(plan, "one", deepspeed="zero3"), tmp_path, teacher_folder, 1), want)


TWO = pytest.mark.parametrize("deepspeed", [None, "zero3"])


def _both(plan, tmp_path, teacher_folder, deepspeed, give=None):
    """What one process makes of the plan, and two."""
    want = train(plan, give, silent)
    again = _again(plan, f"two-{deepspeed}", micro_batch=2, deepspeed=deepspeed)
    return want, _run(again, tmp_path, teacher_folder if give else "none", 2)


@pytest.mark.slow
@TWO
def test_a_cached_signal_in_two_processes(make_plan, tmp_path, deepspeed):
    """Every rank reads the rows that it trains on from the one cache."""
    folder = tmp_path / "signals"
    settings = DENSE | {"signal": {"kind": "topk", "k": 8, "codec": "set"}}
    plan = make_plan("alone", count=12, changes={"signals": str(folder)}, **settings)
    tokenizer, rows = encoded_rows(plan)
    asked = [signal_row(row) for row in rows]
    # A teacher that knows its rows: capture refuses one that is worse than a guess.
    knows = train(make_plan("knows", count=12, steps=60, lr=1e-2), None, silent)
    teacher = LocalModel.load(knows.model_dir)
    capture(asked, teacher, tokenizer, CaptureSettings(k=8, codec="set"), folder, silent)
    want, found = _both(plan, tmp_path, "none", deepspeed)
    assert found.curve[0]["kd_loss"] > 0
    assert _losses(found) == pytest.approx(_losses(want), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["q_proj", "lm_head"])
def test_an_adapter_in_two_processes(make_plan, base, tmp_path, teacher_folder, target):
    """LoRA under ZeRO-3, on the head too: the losses of one process, the adapter saved whole."""
    lora = {"r": 4, "target_modules": ["v_proj", target]}
    changes = {"student": {"model": base, "method": "lora", "lora": lora}}
    plan = make_plan("alone", count=12, lr=1e-2, changes=changes, **DENSE)
    want, found = _both(
        plan, tmp_path, teacher_folder, "zero3", lambda: LocalModel.load(teacher_folder)
    )
    assert _losses(found) == pytest.approx(_losses(want), abs=1e-4)
    ours, theirs = (
        load_file(Path(one.model_dir) / "adapter_model.safetensors") for one in (found, want)
    )
    # peft adds the frozen head itself where it can be had whole.
    names = {name for name in theirs if "lora_" in name}
    assert names == {name for name in ours if "lora_" in name}
    for name in names:
        assert (ours[name] - theirs[name]).abs().max() < 1e-3


@pytest.mark.slow
@TWO
def test_own_words_in_two_processes(make_plan, tmp_path, teacher_folder, deepspeed):
    """What the student writes follows from seed, step and row; ranks end at different lengths."""
    loss = {"kind": "reverse_kl", "weight": 1.0, "ce": 0.5}
    settings = {"signal": {"kind": "dense"}, "loss": loss, "on_policy": 0.5, "max_length": 24}
    plan = make_plan("alone", count=12, **settings)
    want, found = _both(
        plan, tmp_path, teacher_folder, deepspeed, lambda: LocalModel.load(teacher_folder)
    )
    assert _losses(found) == pytest.approx(_losses(want), abs=1e-4)


@pytest.mark.slow
@TWO
def test_preferences_in_two_processes(make_plan, tmp_path, write_rows, deepspeed):
    """Reference, loss and pairs told right are those of one process."""
    turn = {at: [{"role": "assistant", "content": word}] for at, word in enumerate(WORDS)}
    pairs = [
        {
            "id": f"p-{at}",
            "prompt": [{"role": "user", "content": f"rose {at}"}],
            "chosen": turn[at % 3],
            "rejected": turn[3 + at % 3],
            "fields": {},
        }
        for at in range(12)
    ]
    path = write_rows(tmp_path / "pairs.jsonl", pairs)
    changes = {"rows_path": path, "val_path": path}
    plan = make_plan("alone", changes=changes, objective="dpo", lr=1e-3)
    want, found = _both(plan, tmp_path, "none", deepspeed)
    assert _losses(found) == pytest.approx(_losses(want), abs=1e-4)
    assert found.val_loss == pytest.approx(want.val_loss, abs=1e-4)
    assert found.pairs == want.pairs


@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", ["zero2_offload", "zero3_offload"])
def test_offloading_changes_nothing(alone, tmp_path, teacher_folder, deepspeed):
    """Optimiser states, and weights, in the CPU's memory: the losses of one process."""
    plan, want = alone
    _same(_run(_again(plan, deepspeed, deepspeed=deepspeed), tmp_path, teacher_folder, 1), want)
