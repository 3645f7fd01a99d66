"""The generate stage: rounds of candidates, filled concurrently, sifted whole in row-id order.

Same recipe and same answers give the same rows, whatever the order in which answers arrive.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from distill.errors import RunError
from distill.generate.failures import FailureWatch
from distill.generate.fill import Filled, Filler
from distill.generate.propose import Proposal, Proposer
from distill.generate.rounds import round_size
from distill.progress import Listener, Progress
from distill.recipe.generation import Generate
from distill.recipe.schema import Recipe
from distill.rows.row import Row
from teachers.errors import AuthError, BudgetReached
from teachers.protocol import Teacher

Sift = Callable[[list[Row]], Awaitable[list[Row]]]
Fill = Callable[[Sequence[Proposal], Callable[[], bool]], AsyncGenerator[Filled, None]]
"""From proposals and `stop` to candidates as they are filled; raises Stopped, BudgetReached."""
Spread = Callable[[Filler, int], Fill]
"""From what fills a candidate, and how many at the same time, to what fills them all."""

POLL_S = 0.2
"""How often `stop` is asked while teachers are slow."""
LEAST_IN_FLIGHT = 32
BATCH_IN_FLIGHT = 20_000
"""Where a teacher is asked by batch: a batch holds what waits at the same time."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """The target was not reached."""

    accept: int
    got: int
    why: str


@dataclass(frozen=True, slots=True)
class Generated:
    """What came out, sorted by row id."""

    candidates: list[Row]
    """Every candidate: accepted (answered), rejected by a field's `keep`, or failed."""
    sifted: list[Row]
    """One row for each answered candidate: accepted or rejected."""
    shortfall: Shortfall | None = None


class Interrupted(Exception):
    """Generation stopped before its end; every answer is stored. Args: cause, accepted, asked."""

    @property
    def cause(self) -> BudgetReached | None:
        """The cap that was reached, or None where somebody asked to stop."""
        cause: BudgetReached | None = self.args[0]
        return cause

    @property
    def accepted(self) -> int:
        """Rows accepted, those included that the filters keep of the round that was broken off."""
        return int(self.args[1])

    @property
    def asked(self) -> int:
        """Candidates that were filled or failed."""
        return int(self.args[2])

    def __str__(self) -> str:
        return str(self.cause or "stopped")


@dataclass(slots=True)
class _Tally:
    """The run so far."""

    candidates: list[Row] = field(default_factory=list)
    sifted: list[Row] = field(default_factory=list)
    accepted: int = 0
    filled: int = 0
    """Candidates that came back, those of the round in progress included."""
    failed: int = 0
    dropped: int = 0
    """Rejected by a field's `keep`, before any filter."""

    def progress(self, target: int | None, ceiling: int) -> Progress:
        rejected = len(self.sifted) - self.accepted + self.dropped
        figures = {"accepted": self.accepted, "rejected": rejected, "failed": self.failed}
        if target is None:
            return Progress("generate", self.filled, ceiling, figures)
        return Progress("generate", self.accepted, target, {"asked": self.filled, **figures})


def never() -> bool:
    """Returns False: nobody asks to stop."""
    return False


async def run_generate(
    recipe: Recipe,
    teachers: Mapping[str, Teacher],
    sift: Sift | None,
    listen: Listener,
    *,
    stop: Callable[[], bool] = never,
    spread: Spread | None = None,
) -> Generated:
    """Returns the candidates of an expanded recipe and what the filters made of them.

    Args:
        recipe: Expanded.
        teachers: By name.
        sift: The filters; absent: every answered candidate is accepted.
        listen: Is told after every candidate.
        stop: Is asked a few times a second; True ends the stage with Interrupted.
        spread: Fills candidates in other processes; absent: in this one.

    Raises: Interrupted at the spending cap or when stopped, AuthError, RunError when too many rows
        fail, RecipeError and DataError when the recipe or its files do not fit.
    """
    generate = recipe.generate or Generate()
    proposer = Proposer(recipe)
    balance = proposer.balance
    filler = Filler(recipe, proposer.steps, proposer.sources, teachers)
    fill = (spread or _here)(filler, _in_flight(recipe))
    watch = FailureWatch(generate.max_failed)
    target, tally = generate.accept, _Tally()
    while proposer.left and (target is None or tally.accepted < target):
        tried = len(tally.candidates)
        seen = tally.accepted / tried if tried else 1.0
        balance.plan(seen)
        size = round_size(
            target,
            proposer.ceiling,
            accepted=tally.accepted,
            tried=tried,
            grows=proposer.grows,
            short=balance.wanted(seen),
        )
        proposals = proposer.propose(size)
        rows: list[Row] = []
        try:
            async with aclosing(fill(proposals, stop)) as arriving:
                async for filled in arriving:
                    rows.append(filled.row)
                    tally.filled += 1
                    tally.failed += filled.failure is not None
                    tally.dropped += filled.row.status == "rejected"
                    watch.add(filled)
                    listen(tally.progress(target, proposer.ceiling))
        except (BudgetReached, Stopped) as error:
            cause = error if isinstance(error, BudgetReached) else None
            so_far = tally.accepted + await _accepted_of_part(rows, sift)
            raise Interrupted(cause, so_far, tally.filled) from error
        watch.finish_round()
        rows.sort(key=lambda row: row.id)
        tally.candidates += rows
        sifted = balance.cut(await _sifted(rows, sift), tally.accepted)
        accepted = [row for row in sifted if row.status == "accepted"]
        tally.sifted += sifted
        tally.accepted += len(accepted)
        proposer.grow(accepted)
        listen(tally.progress(target, proposer.ceiling))
    return Generated(
        sorted(tally.candidates, key=lambda row: row.id),
        sorted(tally.sifted, key=lambda row: row.id),
        _shortfall(tally, target, generate, proposer),
    )


class Stopped(Exception):
    """Somebody asked to stop."""


def _here(filler: Filler, in_flight: int) -> Fill:
    """Fills candidates in this process."""

    def fill(
        proposals: Sequence[Proposal], stop: Callable[[], bool]
    ) -> AsyncGenerator[Filled, None]:
        return _fill_all(filler, proposals, in_flight, stop)

    return fill


async def _fill_all(
    filler: Filler, proposals: Sequence[Proposal], in_flight: int, stop: Callable[[], bool]
) -> AsyncGenerator[Filled, None]:
    """Yields candidates as they are filled; leaves no task behind, however it ends."""
    waiting: Iterator[Proposal] = iter(proposals)
    reached: BaseException | None = None
    running: set[asyncio.Task[Filled]] = set()
    done: set[asyncio.Task[Filled]] = set()
    try:
        while True:
            while len(running) < in_flight and (proposal := next(waiting, None)) is not None:
                running.add(asyncio.create_task(filler.fill(proposal)))
            if not running and reached is not None:
                raise reached
            if not running:
                return
            done, running = await asyncio.wait(
                running, timeout=POLL_S, return_when=asyncio.FIRST_COMPLETED
            )
            if stop():
                raise Stopped
            errors = [error for task in done if (error := task.exception()) is not None]
            if errors and all(isinstance(error, BudgetReached) for error in errors):
                # What is on its way is paid for, and nothing more is asked.
                waiting, reached = iter(()), errors[0]
            elif errors:
                # A refused key says more than the cap that another ask may have met meanwhile.
                raise next((error for error in errors if isinstance(error, AuthError)), errors[0])
            for task in done:
                if task.exception() is None:
                    yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, *done, return_exceptions=True)


async def _sifted(rows: Sequence[Row], sift: Sift | None) -> list[Row]:
    """The answered rows of a round after the filters, in row-id order."""
    answered = [row for row in rows if row.status == "accepted"]
    if sift is None:
        return answered
    sifted = sorted(await sift(list(answered)), key=lambda row: row.id)
    if [row.id for row in sifted] != [row.id for row in answered]:
        raise RunError(f"the filters took {len(answered)} rows and gave back {len(sifted)} others")
    return sifted


async def _accepted_of_part(rows: list[Row], sift: Sift | None) -> int:
    rows.sort(key=lambda row: row.id)
    return sum(row.status == "accepted" for row in await _sifted(rows, sift))


def _shortfall(
    tally: _Tally, target: int | None, generate: Generate, proposer: Proposer
) -> Shortfall | None:
    if target is None or tally.accepted >= target:
        return None
    reasons = Counter(row.reason for row in [*tally.sifted, *tally.candidates] if row.reason)
    most = max(reasons.items(), key=lambda item: (item[1], item[0]), default=None)
    allowed = generate.candidates or 4 * target
    limit = "candidates" if proposer.ceiling == allowed else "rows of the pool"
    why = f"all {proposer.ceiling} {limit} were tried"
    if most:
        why += f"; {sum(reasons.values())} were dropped or failed, most often {most[0]} ({most[1]})"
    if short := proposer.balance.shortage():
        why += f"; short are {short}"
    return Shortfall(target, tally.accepted, why)


def _in_flight(recipe: Recipe) -> int:
    """Candidates in flight: enough to keep every teacher busy, few enough to bound memory."""
    if any(getattr(teacher, "mode", "online") != "online" for teacher in recipe.teachers.values()):
        return BATCH_IN_FLIGHT
    widest = max((teacher.concurrency for teacher in recipe.teachers.values()), default=0)
    return max(LEAST_IN_FLIGHT, 4 * widest)
