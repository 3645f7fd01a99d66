"""Asks a teacher about many rows: bounded, in order, with what failed told apart."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from distill.errors import Problem, RunError
from distill.progress import Listener, Progress
from distill.rows.row import Row
from teachers.errors import AuthError, TeacherError

IN_FLIGHT = 256
"""Rows asked about at once; the gateway bounds the requests themselves."""
LEAST = 20
"""Fewest rows that a share of failures is taken from."""
MAX_FAILED = 0.1
"""Largest share of rows whose asks may fail before the run stops."""

Said = TypeVar("Said")


async def ask_all(
    name: str,
    rows: Sequence[Row],
    ask: Callable[[Row], Awaitable[Said]],
    listen: Listener,
) -> list[Said | TeacherError]:
    """Returns what `ask` said of each row, in order; a TeacherError where it could not be asked.

    Raises: AuthError and BudgetReached at once; RunError when more than MAX_FAILED of the rows
        failed, which is the teacher's fault and not the rows'.
    """
    found: list[Said | TeacherError] = []
    for start in range(0, len(rows), IN_FLIGHT):
        part = rows[start : start + IN_FLIGHT]
        tasks = [asyncio.ensure_future(_one(ask, row)) for row in part]
        try:
            found += await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        listen(Progress("filter", len(found), len(rows), {"filter": name}))
        _stop_if_hopeless(name, found)
    return found


async def _one(ask: Callable[[Row], Awaitable[Said]], row: Row) -> Said | TeacherError:
    try:
        return await ask(row)
    except AuthError:
        raise
    except TeacherError as error:
        return error


def _stop_if_hopeless(name: str, found: Sequence[object]) -> None:
    errors = [error for error in found if isinstance(error, TeacherError)]
    if len(found) < LEAST or len(errors) <= MAX_FAILED * len(found):
        return
    [(kind, times)] = Counter(error.kind for error in errors).most_common(1)
    example = next(error for error in errors if error.kind == kind)
    problem = Problem(
        f"{len(errors)} of the first {len(found)} asks of the filter {name} failed, most often "
        f"with {kind!r} ({times}): {example}",
        key=f"filter.{name}",
        allowed=f"a share of {MAX_FAILED:g}",
        fix="Mend the cause and run again: every answer is stored and is not paid for twice.",
    )
    raise RunError(str(problem), [problem])
