"""What a filter is, what it is given, and the few questions that every filter asks of a row."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from distill.errors import Problem, RecipeError
from distill.progress import Listener, silent
from distill.recipe.files import locate, text_of
from distill.recipe.functions import find_function
from distill.recipe.schema import Recipe
from distill.recipe.task import Task
from distill.rows.row import Row, Verdict, canonical_json
from teachers.protocol import Teacher


class Tokenizer(Protocol):
    """The one method of a tokenizer that filters use."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]:
        """Returns the token ids of a text."""
        ...


class Elsewhere(Protocol):
    """Other processes that judge many rows."""

    @property
    def rows(self) -> int:
        """Fewest rows that are worth sending to filters that judge each by itself."""
        ...

    @property
    def texts(self) -> int:
        """Fewest texts that are worth comparing there."""
        ...

    async def judged(
        self, stretch: Callable[[Sequence[Row]], list["Judged"]], rows: Sequence[Row]
    ) -> list["Judged"]:
        """What the filters of a stretch make of rows, in order."""
        ...

    async def distinct(self, texts: Sequence[str], similarity: float) -> list[float | None]:
        """For each text the largest similarity to one kept before it, None where it is kept."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a filter may know beside its own options."""

    task: Task
    gold: Sequence[Mapping[str, Any]] = ()
    """Human-labelled rows."""
    written: tuple[str, ...] = ()
    """Fields that a teacher writes."""
    sometimes: frozenset[str] = frozenset()
    """Those of them that are not asked for in every row, and empty where nobody was asked."""
    tokenizer: Tokenizer | None = None
    """The student's."""
    recipe: Recipe | None = None
    """Where files that an option names are found."""
    teachers: Mapping[str, Teacher] = field(default_factory=dict)
    approved: Mapping[str, bool] = field(default_factory=dict)
    """Row id -> whether people approved the row, from the run's review."""
    seed: int = 0
    listen: Listener = silent
    elsewhere: Elsewhere | None = None
    file: str | None = None
    key: str | None = None
    """Where in the recipe the filter stands ("filter.0.length"), for messages."""
    line: int | None = None

    def refuse(
        self, found: str, *, allowed: str | None = None, fix: str | None = None
    ) -> RecipeError:
        """Returns the error that says what is wrong with this filter's options."""
        problem = Problem(found, self.file, self.line, self.key, allowed, fix)
        return RecipeError(str(problem), [problem])

    def path(self, ref: str) -> Path:
        """Returns the file or folder that an option names.

        Raises: RecipeError where there is none.
        """
        return locate(self.recipe, ref) if self.recipe else Path(ref)

    def text(self, ref: str) -> str:
        """Returns an option's text: itself, or the content of the file that it names."""
        return text_of(self.recipe, ref) if self.recipe else ref

    def function(self, ref: str) -> Callable[..., Any]:
        """Returns the user's function that an option names.

        Raises: RecipeError where it cannot be loaded.
        """
        folder = Path(self.file).parent if self.file else Path()
        return find_function(
            ref, folder, lambda found, allowed: self.refuse(found, allowed=allowed)
        )

    def model(self, ref: str) -> str:
        """Returns the folder of a model where there is one, else the reference (a hub id)."""
        folder = (Path(self.recipe._source).parent if self.recipe else Path()) / ref
        return str(folder.resolve()) if folder.is_dir() else ref

    def teacher(self, name: str) -> Teacher:
        """Returns a teacher of the run.

        Raises: RecipeError where there is none of that name.
        """
        if name not in self.teachers:
            allowed = ", ".join(self.teachers) or "none is defined"
            raise self.refuse(f"no teacher {name!r}", allowed=allowed)
        return self.teachers[name]


@dataclass(frozen=True, slots=True)
class Edited:
    """A verdict on a row that the filter also rewrites."""

    verdict: Verdict
    fields: Mapping[str, Any]
    """The new values."""


Outcome = Verdict | Edited
Judged = tuple[Row, tuple[Verdict, ...]]
"""A row after some filters, with what each said up to the one that dropped it."""


class Filter(Protocol):
    """One filter of a run; it may remember rows of earlier calls.

    The class is called with the filter's options and a Context.
    """

    quality: ClassVar[bool]
    """Whether its score says how good a row is (the better of two copies is kept by it)."""

    @property
    def needs(self) -> Sequence[str]:
        """Fields without which a row cannot be judged; the chain drops such rows."""
        ...

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Outcome] | Awaitable[Sequence[Outcome]]:
        """Returns one verdict per row, in the order of the rows (sorted by id)."""
        ...


class Explains(Protocol):
    """A filter that has something to tell beside its verdicts."""

    def facts(self) -> Mapping[str, Any]:
        """Returns plain data for the report; empty where there is nothing to tell."""
        ...


def text_of_value(value: Any) -> str:
    """Returns a field's value as text; anything but text as canonical JSON."""
    return value if isinstance(value, str) else canonical_json(value)


def text_of_fields(row: Row, names: Sequence[str]) -> str:
    """Returns several fields of a row as one text."""
    return "\n".join(text_of_value(row.fields[name]) for name in names)


def both_sides(task: Task) -> tuple[str, ...]:
    """Returns the task's input and output fields, once each."""
    return tuple(dict.fromkeys((task.input, task.output)))


def best_first(rows: Sequence[Row]) -> list[Row]:
    """Returns the rows by falling score of the filters before, then by id."""
    return sorted(rows, key=lambda row: (-(row.score or 0.0), row.id))
