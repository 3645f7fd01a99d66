"""What a filter is, what it is given, and the few questions that every filter asks of a row."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from distill.errors import Problem, RecipeError
from distill.recipe.task import Task
from distill.rows.row import Row, Verdict, canonical_json


class Tokenizer(Protocol):
    """The one method of a tokenizer that filters use."""

    def encode(self, text: str, *, add_special_tokens: bool) -> Sequence[int]:
        """Returns the token ids of a text."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What a filter may know beside its own options."""

    task: Task
    gold: Sequence[Mapping[str, Any]] = ()
    """Human-labelled rows."""
    written: tuple[str, ...] = ()
    """Fields that a teacher writes."""
    tokenizer: Tokenizer | None = None
    """The student's."""
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

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict] | Awaitable[Sequence[Verdict]]:
        """Returns one verdict per row, in the order of the rows (sorted by id)."""
        ...


def text_of_value(value: Any) -> str:
    """Returns a field's value as text; anything but text as canonical JSON."""
    return value if isinstance(value, str) else canonical_json(value)
