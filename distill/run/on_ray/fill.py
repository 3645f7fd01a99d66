"""Candidates filled on the workers of a cluster, block by block."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial

from distill.generate.fill import Filled, Filler
from distill.generate.propose import Proposal
from distill.generate.stage import Fill, Stopped
from distill.run.on_ray.cluster import Cluster, arriving
from teachers.errors import AuthError, BudgetReached

LEAST = 8
"""Candidates of a block: a worker fills them all at the same time."""


def spread_over(cluster: Cluster) -> Callable[[Filler, int], Fill]:
    """What `run_generate` takes to fill candidates elsewhere."""

    def spread(filler: Filler, in_flight: int) -> Fill:
        return partial(_filled, cluster, filler, in_flight)

    return spread


async def _filled(
    cluster: Cluster,
    filler: Filler,
    in_flight: int,
    proposals: Sequence[Proposal],
    stop: Callable[[], bool],
) -> AsyncGenerator[Filled, None]:
    """Yields candidates as their blocks are done.

    Raises: AuthError at once, BudgetReached after all that could still be filled.
    """
    size = max(LEAST, math.ceil(in_flight / cluster.cpus))
    blocks = [proposals[at : at + size] for at in range(0, len(proposals), size)]
    reached: BudgetReached | None = None
    make = partial(cluster.mapped, partial(fill_block, filler), blocks)
    async with aclosing(arriving(make)) as done:
        async for _, outcomes in done:
            if stop():
                raise Stopped
            errors = [one for one in outcomes if isinstance(one, BaseException)]
            worst = [error for error in errors if not isinstance(error, BudgetReached)]
            if worst:
                raise next((error for error in worst if isinstance(error, AuthError)), worst[0])
            for outcome in outcomes:
                if isinstance(outcome, BudgetReached):
                    reached = outcome
                elif isinstance(outcome, Filled):
                    yield outcome
    if reached is not None:
        raise reached


def fill_block(filler: Filler, proposals: Sequence[Proposal]) -> list[Filled | BaseException]:
    """Fills candidates at the same time, on a worker; what ends the run is given back as it is."""

    async def together() -> list[Filled | BaseException]:
        return await asyncio.gather(*map(filler.fill, proposals), return_exceptions=True)

    return asyncio.run(together())
