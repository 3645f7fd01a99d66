"""Training on several processes through the launcher."""

import json

import pytest

from distill.errors import RecipeError, RunError
from distill.recipe.load import load_recipe
from distill.run.train.launch import LOG_FILE, failure
from distill.run.walk import run_recipe

pytestmark = pytest.mark.long


@pytest.fixture
def recipe(project, workdir):
    """A recipe that trains one arm."""
    path = project.write_project(workdir, student=True)
    project.change(path, "compare: [hard_labels]", "compare: []")
    return path


def test_two_processes_under_deepspeed(project, recipe, workdir, trained_folder):
    """The command trains on two CPU processes with ZeRO-2 as it does on one: the same losses."""
    process = project.start(
        "train", recipe, "--num-processes", 2, "--set", "train.deepspeed=zero2",
        "--set", "train.steps=3", "--json", cwd=workdir,
    )  # fmt: skip
    said = project.finish(process, timeout=240)
    assert said.code == 0, said.err
    assert "train student: 3/3" in said.err
    training, curve = said.json["training"], said.json["curves"]["student"]
    alone = json.loads((trained_folder / "said.json").read_text())
    assert training.keys() == alone["training"].keys()
    assert training["steps"] == 3
    losses, expected = (
        [point["loss"] for point in points if "loss" in point]
        for points in (curve, alone["curves"]["student"])
    )
    assert losses[0] == pytest.approx(expected[0], abs=1e-4)
    # By this stamp an interrupted training knows its checkpoints again.
    [plan] = (workdir / "runs/tiny/stages/06-train").glob("student/*/plan.json")
    assert json.loads(plan.read_text())["stamp"]["processes"] == 2


def test_a_failure_in_a_process_is_told_as_it_happened(recipe):
    """What the trainer refuses in a process of its own is refused with the same words and kind."""
    with pytest.raises(RecipeError) as caught:
        run_recipe(load_recipe(recipe, ["train.deepspeed=zero0", "train.micro_batch=3"]))
    [problem] = caught.value.problems
    assert problem.key == "train.micro_batch"
    assert "3 does not divide the 8 rows" in problem.found


def test_a_process_that_was_killed_leaves_its_signal(tmp_path):
    """Where no process could say anything, the launcher's last line tells how one ended."""
    (tmp_path / LOG_FILE).write_text("exitcode  : 1 (pid: 7)\n ...\n exitcode  : -9 (pid: 8)\n")
    error = failure(tmp_path, 1)
    assert isinstance(error, RunError)
    assert "was killed by signal 9 (often for want of memory)" in str(error)
    assert str(tmp_path / LOG_FILE) in str(error)


@pytest.mark.slow
def test_a_hostfile_of_this_machine(project, recipe, workdir, trained_folder):
    """DeepSpeed's launcher starts as many processes as the file says; the losses are the same."""
    (workdir / "hosts").write_text("localhost slots=2\n")
    process = project.start(
        "train", recipe, "--hostfile", "hosts", "--set", "train.deepspeed=zero2",
        "--set", "train.steps=3", "--json", cwd=workdir,
    )  # fmt: skip
    said = project.finish(process, timeout=240)
    assert said.code == 0, said.err
    alone = json.loads((trained_folder / "said.json").read_text())["curves"]["student"]
    assert said.json["curves"]["student"][0]["loss"] == pytest.approx(alone[0]["loss"], abs=1e-4)
    [plan] = (workdir / "runs/tiny/stages/06-train").glob("student/*/plan.json")
    assert json.loads(plan.read_text())["stamp"]["processes"] == 2


def test_several_machines_need_a_program(project, recipe, workdir, monkeypatch):
    """Without pdsh nothing is started or paid; a broken file is wrong input."""
    monkeypatch.setenv("PATH", "")
    (workdir / "hosts").write_text("node1 slots=2\nnode2 slots=2\n")
    said = project.command("train", recipe, "--hostfile", "hosts")
    assert said.code == 3
    assert "pdsh" in said.err
    (workdir / "hosts").write_text("node1\n")
    assert project.command("train", recipe, "--hostfile", "hosts").code == 2
    assert project.command("train", recipe, "--hostfile", "x", "--num-processes", 2).code == 2
    assert not (workdir / "runs").exists()
