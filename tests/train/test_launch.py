"""Starting a training on several processes."""

import sys
from pathlib import Path

import pytest

from distill.errors import DataError
from distill.train.launch import (
    WORKER,
    hostfile_command,
    launched_processes,
    launcher_command,
    read_hostfile,
)


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


def test_a_hostfile_is_handed_to_deepspeed(tmp_path):
    """Its launcher reaches other machines; one that names this machine alone needs no ssh."""
    hosts = tmp_path / "hosts"
    hosts.write_text("# two machines\nnode1 slots=4\n\nnode2 slots=2 # the small one\n")
    assert read_hostfile(hosts) == {"node1": 4, "node2": 2}
    command = hostfile_command(Path("/shared/plan.json"), hosts)
    assert command[:3] == [sys.executable, "-m", "deepspeed.launcher.runner"]
    assert command[command.index("--hostfile") + 1] == str(hosts)
    assert command[-2:] == [WORKER, "/shared/plan.json"]
    assert "--no_ssh_check" not in command
    hosts.write_text("localhost slots=2\n")
    assert {"--no_ssh_check", "127.0.0.1"} <= set(hostfile_command(Path("/p"), hosts))


@pytest.mark.parametrize(
    ("text", "line"),
    [("", None), ("node1\n", 1), ("a slots=1\nb slots=none\n", 2), ("a slots=1\na slots=2\n", 2)],
)
def test_a_wrong_hostfile_is_told_by_its_line(tmp_path, text, line):
    """Nothing is guessed."""
    (tmp_path / "hosts").write_text(text)
    with pytest.raises(DataError) as caught:
        read_hostfile(tmp_path / "hosts")
    assert caught.value.problems[0].line == line
