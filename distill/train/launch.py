"""Several processes, of this machine or of several: how to start them, and how many there are."""

import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from distill.errors import DataError, Problem

WORKER = "distill.run.train.worker"
LOCAL = ("localhost", "127.0.0.1")
_HOST = re.compile(r"(\S+)\s+slots=(\d+)\s*(?:#.*)?")


def launched_processes() -> int:
    """How many processes a launcher has started for this training; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launcher_command(plan: Path, processes: int) -> list[str]:
    """The arguments that run the plan on so many processes; whoever starts them adds a timeout."""
    # --standalone picks a free port: the default one collides between two runs on one machine.
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [sys.executable, *launcher, "-m", WORKER, str(plan)]


def worker_command(plan: Path) -> list[str]:
    """The arguments that run the plan as one rank; its environment says which."""
    return [sys.executable, "-m", WORKER, str(plan)]


def hostfile_command(plan: Path, hostfile: Path) -> list[str]:
    """The arguments that run the plan on the machines of a hostfile, by DeepSpeed's own launcher.

    It starts them over ssh (pdsh); plan, data and run directory have to lie where all of them see
    them, and the packages at the same paths. A file with this machine alone needs no ssh.
    """
    hosts = read_hostfile(hostfile)
    options = ["--hostfile", str(hostfile), "--module", "--no_local_rank"]
    if len(hosts) == 1 and next(iter(hosts)) in LOCAL:
        options += ["--no_ssh_check", "--master_addr", LOCAL[1], "--master_port", str(_free_port())]
    return [sys.executable, "-m", "deepspeed.launcher.runner", *options, WORKER, str(plan)]


def read_hostfile(path: Path) -> Mapping[str, int]:
    """Host -> processes, in the order of the file; lines `HOST slots=N`, `#` begins a comment.

    Raises: DataError with the line of what is wrong.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as exc:
        raise _wrong(path, None, f"the hostfile cannot be read: {exc}") from exc
    hosts: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _HOST.fullmatch(line.strip())
        if found is None or int(found[2]) < 1:
            raise _wrong(path, number, f"not a host: {line.strip()[:60]!r}")
        if found[1] in hosts:
            raise _wrong(path, number, f"the host {found[1]} comes twice")
        hosts[found[1]] = int(found[2])
    if not hosts:
        raise _wrong(path, None, "the hostfile names no host")
    return hosts


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((LOCAL[1], 0))
        port: int = free.getsockname()[1]
    return port


def _wrong(path: Path, line: int | None, found: str) -> DataError:
    problem = Problem(
        found, file=str(path), line=line, key="--hostfile", allowed="lines `HOST slots=N`"
    )
    return DataError(str(problem), [problem])
