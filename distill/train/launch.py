"""Several processes of this machine: how to start them, and how many there are."""

import os
import sys
from pathlib import Path

WORKER = "distill.run.train_worker"


def launched_processes() -> int:
    """How many processes a launcher has started for this training; 1 without one."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def launcher_command(plan: Path, processes: int) -> list[str]:
    """The arguments that run the plan on so many processes; whoever starts them adds a timeout."""
    # --standalone picks a free port: the default one collides between two runs on one machine.
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    return [sys.executable, *launcher, "-m", WORKER, str(plan)]
