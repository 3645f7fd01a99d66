"""Several processes train as one does."""

import os
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file

from distill.progress import silent
from distill.train.launch import WORKER, launcher_command
from distill.train.plan import finished
from distill.train.stage import train
from teachers.local_model import LocalModel

ROOT = Path(__file__).parents[2]
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
        timeout=120,
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
