"""How many CPU threads a model gets: tiny ones are faster with one."""

import os

TINY = 2_000_000
"""Parameters. Below this an operation takes less time than its threads need to meet: with both
cores of a machine taken, two threads were 14 to 21 times slower than one on a 0.08M student."""


def fit_threads(parameters: int) -> None:
    """Gives torch one thread for a tiny model, else every core; OMP_NUM_THREADS overrules it."""
    import torch

    if "OMP_NUM_THREADS" in os.environ or torch.cuda.is_available():
        return
    torch.set_num_threads(1 if parameters < TINY else len(os.sched_getaffinity(0)))
