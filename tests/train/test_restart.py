"""A training that goes on with another number of processes than before."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from distill.export.card import model_card
from distill.progress import silent
from distill.train.launch import WORKER, launcher_command
from distill.train.plan import finished
from distill.train.stage import train

ROOT = Path(__file__).parents[2]
STEPS = {"steps": 10, "count": 12, "micro_batch": 4}


class _Stopped(Exception):
    """The training was interrupted."""


def _stop_at(step):
    def listen(progress):
        if progress.done == step:
            raise _Stopped

    return listen


def _lines(result, name):
    return {point["step"]: point[name] for point in result.curve if name in point}


def test_another_number_of_processes_takes_the_weights_alone(make_plan):
    """Rows and rate go on where they stood; the optimiser is fresh, which is told and recorded."""
    whole = train(make_plan("whole", **STEPS), None, silent)
    plan = make_plan("cut", **STEPS)
    with pytest.raises(_Stopped):
        train(plan, None, _stop_at(8))
    [*_, last] = sorted((Path(plan.out_dir) / "checkpoints").glob("checkpoint-*"))
    # What two processes leave behind.
    (last / "rng_state.pth").rename(last / "rng_state_0.pth")
    (last / "rng_state_1.pth").touch()
    step = int(last.name.removeprefix("checkpoint-"))
    told = []
    result = train(plan, None, told.append)
    entry = {"step": step, "processes_before": 2, "processes": 1}
    assert result.restarts == [entry]
    assert result.steps == 10
    notes = [one.note for one in told if one.note]
    assert any(f"from step {step} of 10" in note and "fresh optimiser" in note for note in notes)
    for name in ("learning_rate", "loss"):
        ours, theirs = _lines(result, name), _lines(whole, name)
        assert ours[step + 1] == pytest.approx(theirs[step + 1], rel=1e-5)
    assert _lines(result, "learning_rate")[10] == _lines(whole, "learning_rate")[10]
    assert _lines(result, "loss")[10] != _lines(whole, "loss")[10]
    lineage = {"base": "x", "report": {"training": {"restarts": result.restarts}}}
    prompt = {"task": {"kind": "generate", "input": "input", "system": None}, "template": ""}
    card = model_card("student", prompt, lineage, None, None)
    assert f"from step {step} it went on with the checkpoint's weights and a fresh optim" in card


def _launched(plan, tmp_path, processes, *more):
    path = tmp_path / "plan.json"
    plan.write(path)
    command = launcher_command(path, processes)
    worker = str(Path(__file__).with_name("zero_worker.py"))
    command = [*command[: command.index(WORKER) - 1], worker, str(path), "none", *more]
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=env, timeout=300, check=False, capture_output=True, text=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", ["zero2", "zero3"])
def test_one_process_goes_on_where_two_sharded(make_plan, tmp_path, deepspeed):
    """Shards of two processes are no use to one; the step after them has the undisturbed loss."""
    whole = train(make_plan("whole", **STEPS), None, silent)
    plan = make_plan("cut", deepspeed=deepspeed, **STEPS)
    assert _launched(plan, tmp_path, 2, "8").returncode != 0
    [*_, last] = sorted((Path(plan.out_dir) / "checkpoints").glob("checkpoint-*"))
    step = int(last.name.removeprefix("checkpoint-"))
    done = _launched(replace(plan, train={**plan.train, "micro_batch": 8}), tmp_path, 1)
    assert done.returncode == 0, done.stderr[-3000:]
    result = finished(plan)
    assert [dict(one) for one in result.restarts] == [
        {"step": step, "processes_before": 2, "processes": 1}
    ]
    for name in ("learning_rate", "loss"):
        ours, theirs = _lines(result, name), _lines(whole, name)
        assert ours[step + 1] == pytest.approx(theirs[step + 1], abs=1e-4)
    assert load_file(Path(result.model_dir) / "model.safetensors")
