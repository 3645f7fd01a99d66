"""Starting a training on several processes."""

import sys
from pathlib import Path

from distill.train.launch import WORKER, launched_processes, launcher_command


def test_the_command_starts_the_worker_on_so_many_processes():
    """Plain torch elastic, on a port of its own, with this interpreter."""
    command = launcher_command(Path("/runs/x/plan.json"), 4)
    assert command[0] == sys.executable
    assert command[-3:] == ["-m", WORKER, "/runs/x/plan.json"]
    assert {"--standalone", "--nproc_per_node=4"} <= set(command)


def test_without_a_launcher_there_is_one_process(monkeypatch):
    """The launcher's own variable says how many there are."""
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched_processes() == 1
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert launched_processes() == 3
