"""What a command prints: text for people, one JSON object for scripts, errors on stderr."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from distill.errors import DistillError, Problem
from distill.progress import Progress

if TYPE_CHECKING:
    import rich.progress

PLAIN_EVERY_S = 5.0
FLAGS = ("--json", "--quiet", "--debug")


class Output:
    """How this call of the command talks."""

    def __init__(self, *, as_json: bool = False, quiet: bool = False, debug: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.debug = debug
        self._stdout = sys.stdout

    def own_stdout(self) -> AbstractContextManager[object]:
        """With --json, sends whatever libraries print meanwhile to stderr."""
        return redirect_stdout(sys.stderr) if self.as_json else nullcontext()

    def text(self, text: str) -> None:
        """A line for people; nothing with --json or --quiet."""
        if not (self.as_json or self.quiet):
            print(text)

    def result(self, value: Mapping[str, Any], text: str = "") -> None:
        """The command's result: the JSON object, or its text."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False, allow_nan=False), file=self._stdout)
        elif text and not self.quiet:
            print(text)

    def gated(self, value: Mapping[str, Any], text: str, missed: DistillError | None) -> None:
        """A result that has to pass a gate: printed whole, and where it misses, said so as well.

        Raises: typer.Exit with the error's code.
        """
        if missed is None:
            self.result(value, text)
            return
        if self.as_json:
            self.result({**value, "error": _body(missed.kind, missed.message, missed.problems)})
        else:
            self.result(value, text)
            self.error(missed)
        raise typer.Exit(missed.exit_code)

    def error(self, error: DistillError) -> None:
        """One line per problem on stderr, or the JSON object on stdout."""
        self.problems(error.kind, error.message, error.problems)

    def problems(self, kind: str, message: str, problems: Sequence[Problem]) -> None:
        """Prints what went wrong in the shape that the caller asked for."""
        if self.as_json:
            body = {"error": _body(kind, message, problems)}
            print(json.dumps(body, ensure_ascii=False), file=self._stdout)
            return
        for problem in problems:
            print("error: " + " ".join(str(problem).split()), file=sys.stderr)

    def progress(self) -> "Display":
        """Shows progress on a terminal as bars, elsewhere as a line now and then."""
        return Display(enabled=not self.quiet)


def _body(kind: str, message: str, problems: Sequence[Problem]) -> dict[str, Any]:
    return {"kind": kind, "message": message, "problems": [p.as_dict() for p in problems]}


def take_flags(args: Sequence[str]) -> tuple[Output, list[str]]:
    """The three flags that every command takes, wherever they stand, and the other arguments."""
    end = args.index("--") if "--" in args else len(args)
    given = set(args[:end]) & set(FLAGS)
    rest = [arg for arg in args[:end] if arg not in FLAGS] + list(args[end:])
    output = Output(as_json="--json" in given, quiet="--quiet" in given, debug="--debug" in given)
    return output, rest


class Display(AbstractContextManager["Display"]):
    """A progress listener that writes to stderr."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._terminal = enabled and sys.stderr.isatty()
        self._bars: rich.progress.Progress | None = None
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._last: tuple[str, float] = ("", 0.0)

    def __call__(self, progress: Progress) -> None:
        """Shows where a stage stands."""
        if not self._enabled:
            return
        if self._bars is not None:
            self._draw(self._bars, progress)
        else:
            self._line(progress)

    def _draw(self, bars: "rich.progress.Progress", progress: Progress) -> None:
        if progress.note:
            bars.console.print(f"{progress.stage}: {progress.note}", markup=False, highlight=False)
            return
        if progress.stage not in self._tasks:
            # A new bar is drawn at once, with all its columns.
            self._tasks[progress.stage] = bars.add_task(
                progress.stage, total=progress.total, figures=""
            )
        bars.update(
            self._tasks[progress.stage],
            completed=progress.done,
            total=progress.total,
            figures=_figures(progress),
        )

    def _line(self, progress: Progress) -> None:
        stage, at = self._last
        finished = progress.total is not None and progress.done >= progress.total
        fresh = progress.stage != stage or time.monotonic() - at >= PLAIN_EVERY_S
        if progress.note:
            print(f"{progress.stage}: {progress.note}", file=sys.stderr, flush=True)
        elif fresh or finished:
            total = f"/{progress.total}" if progress.total is not None else ""
            figures = f"  {_figures(progress)}" if progress.figures else ""
            print(f"{progress.stage}: {progress.done}{total}{figures}", file=sys.stderr, flush=True)
            self._last = (progress.stage, time.monotonic())

    def __enter__(self) -> Self:
        if self._terminal:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            self._bars = Bars(
                TextColumn("{task.description:<10}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}", markup=False),
                console=Console(stderr=True),
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()


def _figures(progress: Progress) -> str:
    return "  ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in progress.figures.items()
    )
