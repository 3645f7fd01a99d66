"""The Slurm scripts, with srun and scontrol played by small programs."""

import os
import subprocess
from pathlib import Path

SLURM = Path(__file__).parents[2] / "scripts" / "slurm"
PROGRAMS = {
    "scontrol": 'printf "node1\\nnode2\\n"',
    "srun": 'shift; exec "$@"',
    "python": 'echo "$@"',
    "distill": 'echo "$@"; cat "$4"',
}


def _run(folder, script, *args):
    for name, text in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / "activate").write_text("")
    slurm = {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": "77", "SLURM_NNODES": "2"}
    more = {"SLURM_NODEID": "1", "SLURM_GPUS_ON_NODE": "8", "DISTILL": str(folder)}
    path = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        [SLURM / script, *args], cwd=folder, env={**os.environ, **slurm, **more, **path},
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip


def test_each_node_starts_one_torchrun_at_the_first_nodes_address(tmp_path):
    """Nodes, processes and rendezvous are Slurm's; the recipe and the flags reach distill."""
    said = _run(tmp_path, "train_torchrun.sbatch", "r.yaml", "--set", "train.steps=3")
    assert said.returncode == 0, said.stderr
    assert said.stdout.split() == [
        *("-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=8", "--node_rank=1"),
        *("--master_addr=node1", "--master_port=20077", "-m", "distill", "train"),
        *("r.yaml", "--set", "train.steps=3", "--yes"),
    ]


def test_deepspeed_gets_a_hostfile_of_the_nodes(tmp_path):
    """One line a node, with its GPUs as slots."""
    said = _run(tmp_path, "train_deepspeed.sbatch", "r.yaml")
    assert said.returncode == 0, said.stderr
    first, *hosts = said.stdout.splitlines()
    assert first == f"train r.yaml --hostfile {tmp_path}/hostfile-77 --yes"
    assert hosts == ["node1 slots=8", "node2 slots=8"]


def test_without_a_recipe_they_say_how_they_are_used(tmp_path):
    """Exit code 2 and the line to type."""
    for script in ("train_torchrun.sbatch", "train_deepspeed.sbatch"):
        said = _run(tmp_path, script)
        assert (said.returncode, "usage: sbatch" in said.stderr) == (2, True)
