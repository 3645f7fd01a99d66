"""Runs that a launcher started on several nodes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill.errors import RunError, UsageError
from distill.run import nodes
from distill.run.nodes import Meeting, launched_place, refuse_beside_launcher

ROOT = Path(__file__).parents[2]
TORCHRUN = {
    "RANK": "1",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "0",
}


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_launcher_is_known_by_its_variables():
    """torchrun's place is read; one process, or no launcher, is none."""
    place = launched_place(TORCHRUN)
    assert (place.rank, place.world, place.port, place.hosted) == (1, 2, 29500, True)
    assert launched_place({}) is None
    assert launched_place(TORCHRUN | {"RANK": "0", "WORLD_SIZE": "1"}) is None
    srun = {name: TORCHRUN[name] for name in TORCHRUN if not name.startswith("TORCHELASTIC")}
    assert not launched_place(srun).hosted


@pytest.mark.parametrize("changed", [{"MASTER_ADDR": ""}, {"RANK": "2"}, {"MASTER_PORT": "x"}])
def test_half_a_launcher_is_refused(changed):
    """Nothing is guessed: several processes without a rendezvous would all walk the run."""
    with pytest.raises(UsageError, match="WORLD_SIZE=2"):
        launched_place(TORCHRUN | changed)


def test_flags_that_start_processes_are_refused_under_a_launcher():
    """It has started them already."""
    refuse_beside_launcher(None, None)
    for flags, name in (((2, None), "--num-processes"), ((None, Path("h")), "--hostfile")):
        with pytest.raises(UsageError, match=name):
            refuse_beside_launcher(*flags)


def test_a_training_process_meets_the_others_elsewhere(monkeypatch):
    """Each training has a port of its own, and not the launcher's store."""
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    found = launched_place(TORCHRUN).environment(4711)
    assert (found["RANK"], found["MASTER_PORT"]) == ("1", "4711")
    assert not any(name.startswith("TORCHELASTIC") for name in found)


@pytest.fixture
def ranks(monkeypatch):
    """The meetings of two ranks in this process, which miss each other soon."""
    monkeypatch.setattr(nodes, "BEAT_S", 0.05)
    monkeypatch.setattr(nodes, "GONE_S", 0.5)
    given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "2"}
    return [Meeting(launched_place(given | {"RANK": str(rank)})) for rank in range(2)]


def test_a_rank_that_falls_silent_is_named(ranks):
    """Its number, its node and what to do; the one that is there is not."""
    first, other = ranks
    time.sleep(0.2)
    assert first.losses() == []
    other._over.set()
    until = time.monotonic() + 5
    while not first.losses() and time.monotonic() < until:
        time.sleep(0.05)
    [words] = first.losses()
    assert words.startswith(f"rank 1 on {socket.gethostname()} went away")
    first._over.set()


def test_a_follower_outlives_the_run_and_not_its_walker(ranks):
    """It ends well with the run; where rank 0 falls silent it says so instead of waiting."""
    first, other = ranks
    first._store.set("over", "0")
    other.follow()
    first._store.delete_key("over")
    first._over.set()
    with pytest.raises(RunError, match=r"rank 0 on .* went away.*Start the same command again"):
        other.follow()
    other._over.set()


def _node(rank, port, cwd, *more, command="train"):
    """One node's torchrun; where the machine has more loopback addresses, each its own."""
    options = ["--nnodes=2", "--nproc_per_node=1", f"--node_rank={rank}"]
    where = ["--master_addr=127.0.0.1", f"--master_port={port}", f"--local_addr=127.0.0.{rank + 1}"]
    arguments = ["-m", "distill", command, "recipe.yaml", "--json", *more]
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *options, *where, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _below(pid):
    """The process and everything that it started, as far as it still runs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


@pytest.fixture
def recipe(project, workdir):
    """A recipe that trains one arm."""
    path = project.write_project(workdir, student=True)
    project.change(path, "compare: [hard_labels]", "compare: []")
    return path


@pytest.mark.slow
def test_two_nodes_train_as_one(project, recipe, workdir, trained_folder):
    """torchrun on two nodes: one object on stdout, the losses of one node."""
    port, settings = _free_port(), ["--set", "train.steps=3"]
    both = [_node(rank, port, workdir, *settings) for rank in (0, 1)]
    first, other = (project.finish(process, timeout=240) for process in both)
    assert (first.code, other.code) == (0, 0), first.err[-2000:] + other.err[-2000:]
    assert other.out == ""
    alone = json.loads((trained_folder / "said.json").read_text())["curves"]["student"]
    assert first.json["curves"]["student"][0]["loss"] == pytest.approx(alone[0]["loss"], abs=1e-4)
    [plan] = (workdir / "runs/tiny/stages/06-train").glob("student/*/plan.json")
    assert json.loads(plan.read_text())["stamp"]["processes"] == 2


@pytest.mark.slow
def test_a_node_that_is_killed_is_named_and_the_run_goes_on(project, recipe, workdir):
    """Within two minutes, by rank and node; one node then goes on from the last checkpoint."""
    port = _free_port()
    settings = ["--set", "train.steps=4000", "--set", "train.trainer.save_steps=50"]
    first, other = (_node(rank, port, workdir, *settings) for rank in (0, 1))
    folder = workdir / "runs/tiny/stages/06-train/student"
    until = time.monotonic() + 150
    while not list(folder.glob("*/checkpoints/checkpoint-*/trainer_state.json")):
        assert time.monotonic() < until
        assert first.poll() is None, first.communicate()
        time.sleep(0.2)
    killed = time.monotonic()
    for pid in _below(other.pid):
        os.kill(pid, signal.SIGKILL)
    other.communicate(timeout=20)
    said = project.finish(first, timeout=120)
    seconds = time.monotonic() - killed
    assert said.code != 0
    assert seconds < 120
    message = said.json["error"]["message"]
    assert f"rank 1 on {socket.gethostname()} went away" in message
    assert "to continue from the last checkpoint" in message
    print(f"told after {seconds:.0f} s")
    [reached] = [
        max(int(path.name.split("-")[1]) for path in run.glob("checkpoint-*"))
        for run in folder.glob("*/checkpoints")
    ]
    settings = ["--set", "train.steps=4000", "--set", "train.trainer.save_steps=50"]
    again = project.start("export", "recipe.yaml", "--json", *settings, cwd=workdir)
    done = project.finish(again, timeout=280)
    assert done.code == 0, done.err[-2000:]
    entry = {"step": reached, "processes_before": 2, "processes": 1}
    assert done.json["training"]["restarts"] == [entry]
    assert f"from step {reached} of 4000" in done.err
    card = (workdir / "runs/tiny/student/README.md").read_text()
    assert f"from step {reached} it went on" in card
