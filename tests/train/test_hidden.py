"""Hidden-state matching: the distance falls, the projector outlives a stop and is not exported."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distill.losses.fused_loss import DenseTargets, HeadTargets
from distill.losses.hidden import hidden_distance
from distill.progress import silent
from distill.recipe.training import ForwardKL, HiddenMatch
from distill.train.fused_head import FusedHead, head_terms
from distill.train.hidden import FILE, add_projector
from distill.train.launch import WORKER, launcher_command
from distill.train.plan import finished
from distill.train.stage import train
from teachers.local_model import LocalModel

ROOT = Path(__file__).parents[2]
HIDDEN = {
    "signal": {"kind": "dense"},
    "loss": {"kind": "forward_kl", "weight": 0.5, "ce": 0.5},
    "hidden": {"weight": 0.5},
}


class _Stopped(Exception):
    pass


def _stop(progress):
    if progress.done == 8:
        raise _Stopped


@pytest.mark.parametrize("measure", ["mse", "cosine"])
@pytest.mark.parametrize("signal", [None, [True, False, True], [False, False, False]])
def test_the_distance_is_that_of_the_rows_with_a_signal(base, measure, signal):
    """Value and the projector's gradient as by hand; without a signal both are 0."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base)
    add_projector(model, 24, seed=3)
    weight = model.distill_projector.weight
    FusedHead.install(model)
    ids_1T = torch.tensor([[5, 6, 7, 8]])
    keep_1T = torch.ones(1, 3, dtype=torch.bool)
    told = torch.tensor(signal) if signal else torch.ones(3, dtype=torch.bool)
    states_MG = torch.randn(int(told.sum()), 24, generator=torch.Generator().manual_seed(1))
    teacher = DenseTargets(states_MG, lambda x: torch.zeros(len(x), 20)) if told.any() else None
    targets = HeadTargets(
        ids_1T[0, 1:],
        ForwardKL(weight=0.0, ce=0.0),
        teacher,
        signal_N=told if signal and teacher else None,
        width=20,
        keep_BT=keep_1T,
        hidden=HiddenMatch(weight=2.0, measure=measure),
    )
    found = head_terms(model, {"input_ids": ids_1T}, targets)
    found.weighted.backward()
    got = weight.grad.clone()
    weight.grad = None
    ours_NH = model.model(ids_1T)[0][0, :-1][told]
    want = hidden_distance(ours_NH, states_MG, weight, measure).sum()
    (2 * want).backward()
    torch.testing.assert_close(found.hidden, want.detach())
    torch.testing.assert_close(found.weighted.float(), (2 * want).detach())
    torch.testing.assert_close(got, weight.grad)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_distance_falls_and_a_stop_changes_nothing(make_plan, base, teacher_folder, method):
    """Stopped after step 8 of 10 and started again: the same weights; none of them a projector."""
    student = {"model": base, "method": method, "lora": {"r": 4, "dropout": 0.0}}
    settings = {"steps": 10, "lr": 1e-2, "changes": {"student": student}, **HIDDEN}
    give = lambda: LocalModel.load(teacher_folder)  # noqa: E731
    whole = train(make_plan("whole", **settings), give, silent)
    curve = [point["hidden_loss"] for point in whole.curve if "hidden_loss" in point]
    assert curve[-1] < 0.7 * curve[0]
    plan = make_plan("cut", **settings)
    with pytest.raises(_Stopped):
        train(plan, give, _stop)
    [*_, last] = sorted((Path(plan.out_dir) / "checkpoints").glob("checkpoint-*"))
    assert load_file(last / FILE)["weight"].shape == (32, 16)
    resumed = train(plan, give, silent)
    name = "model.safetensors" if method == "full" else "adapter_model.safetensors"
    ours, theirs = (load_file(Path(one.model_dir) / name) for one in (resumed, whole))
    assert ours.keys() == theirs.keys()
    assert not any("projector" in key for key in ours)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert not (Path(whole.model_dir) / FILE).exists()
    assert whole.trainable_share == (1.0 if method == "full" else pytest.approx(0.2, abs=0.2))
    first = next(point for point in whole.curve if "hidden_loss" in point)
    terms = 0.5 * (first["kd_loss"] + first["ce_loss"] + first["hidden_loss"])
    assert first["loss"] == pytest.approx(terms, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", ["zero2", "zero3"])
def test_the_engine_shards_the_projector(make_plan, tmp_path, teacher_folder, deepspeed):
    """Two processes have the losses of one, and save no projector either."""
    settings = {"steps": 3, **HIDDEN}
    give = lambda: LocalModel.load(teacher_folder)  # noqa: E731
    want = train(make_plan("alone", **settings), give, silent)
    plan = make_plan("two", micro_batch=2, deepspeed=deepspeed, **settings)
    path = tmp_path / "two.json"
    plan.write(path)
    command = launcher_command(path, 2)
    worker = str(Path(__file__).with_name("zero_worker.py"))
    command = [*command[: command.index(WORKER) - 1], worker, str(path), teacher_folder]
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=env, timeout=300, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = finished(plan)
    for name in ("loss", "hidden_loss"):
        curves = [[p[name] for p in r.curve if name in p] for r in (result, want)]
        assert curves[0] == pytest.approx(curves[1], abs=3e-4)
    weights = load_file(Path(result.model_dir) / "model.safetensors")
    assert not any("projector" in key for key in weights)
