"""What can go wrong, as a tree. Errors that a user can cause carry their problems as plain data.

    DistillError                     exit 1
      RecipeError(ValueError)        exit 2   the recipe is wrong
      DataError(ValueError)          exit 2   a file the recipe names is wrong
      UsageError(ValueError)         exit 2   a command was called the wrong way
      PrerequisiteError(ImportError) exit 3   a missing extra, program or key
      RunError(RuntimeError)         exit 1   a run failed, or a gate was not met
      BudgetPaused(RuntimeError)     exit 4   stopped at the spending cap
      ReviewPending(RuntimeError)    exit 5   waiting for people

Message = where + what was found + what is allowed + what to do. Secrets never enter one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, in the parts that a person or a script needs."""

    found: str
    """What was found, as a sentence fragment: "unknown key 'lenght'"."""
    file: str | None = None
    line: int | None = None
    key: str | None = None
    """Dotted path inside the file: "filter.0.length.words"."""
    allowed: str | None = None
    fix: str | None = None

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        parts = [where, self.key]
        head = ": ".join(part for part in parts if part)
        text = f"{head}: {self.found}" if head else self.found
        if self.allowed:
            text += f" (allowed: {self.allowed})"
        return f"{text}. {self.fix}" if self.fix else text

    def as_dict(self) -> dict[str, Any]:
        """The shape of CONTRACT section 1."""
        return asdict(self)


class DistillError(Exception):
    """Base of all errors shown without a traceback. Args: message, problems."""

    kind: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    @property
    def problems(self) -> Sequence[Problem]:
        """The single problems, at least one."""
        given: Sequence[Problem] = self.args[1] if len(self.args) > 1 else ()
        return given or (Problem(found=str(self.args[0]) if self.args else type(self).__name__),)

    @property
    def message(self) -> str:
        """The first line a person reads."""
        return str(self.args[0]) if self.args else type(self).__name__

    def __str__(self) -> str:
        return self.message


class RecipeError(DistillError, ValueError):
    """The recipe does not say something that can be done."""

    kind = "recipe"
    exit_code = 2


class DataError(DistillError, ValueError):
    """A data file is missing, unreadable or does not hold what the recipe says."""

    kind = "data"
    exit_code = 2


class UsageError(DistillError, ValueError):
    """A command or function was called with something it does not take."""

    kind = "usage"
    exit_code = 2


class PrerequisiteError(DistillError, ImportError):
    """An extra, a program or a key is missing; the message holds the line to type."""

    kind = "prerequisite"
    exit_code = 3


class RunError(DistillError, RuntimeError):
    """A run failed, or a gate was not met."""

    kind = "run"
    exit_code = 1


class BudgetPaused(DistillError, RuntimeError):
    """The spending cap was reached and `on_limit: pause` is set."""

    kind = "budget"
    exit_code = 4


class ReviewPending(DistillError, RuntimeError):
    """The run waits for people."""

    kind = "review"
    exit_code = 5
