"""Progress of generation with what it has cost, how fast it goes and how long it will take."""

import time

from distill.progress import Progress
from distill.run.context import Context
from distill.run.teachers import Teachers

EVERY_S = 0.5
"""How often the spending is added up."""
SETTLE_S = 2.0
"""A rate from less time says nothing."""


class Pace:
    """A listener that adds spend, rate and time left to what the stage tells."""

    def __init__(self, context: Context, teachers: Teachers) -> None:
        self._context = context
        self._teachers = teachers
        self._started = time.monotonic()
        self._first: int | None = None
        self._summed = 0.0
        self._usd: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Passes the progress on."""
        now = time.monotonic()
        if self._first is None:
            self._first = progress.done
        finished = progress.total is not None and progress.done >= progress.total
        if finished or now - self._summed >= EVERY_S:
            self._usd = self._teachers.totals().usd
            self._summed = now
        figures = dict(progress.figures)
        if self._usd is not None:
            figures["usd"] = round(self._usd, 4)
        seconds = now - self._started
        if seconds >= SETTLE_S and progress.done > self._first:
            rate = (progress.done - self._first) / seconds
            figures["rows/s"] = round(rate, 2)
            if progress.total is not None and not finished:
                figures["left"] = _duration((progress.total - progress.done) / rate)
        self._context.listen(
            Progress(progress.stage, progress.done, progress.total, figures, progress.note)
        )


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, seconds_ = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{seconds_:02d}s" if minutes else f"{seconds_}s"
