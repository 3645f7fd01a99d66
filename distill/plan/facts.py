"""What is known of a project: typed by a person, given by flags, or read from a recipe's data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_origin

from distill.errors import Problem, UsageError

Task = Literal["classify", "extract", "generate", "grounded", "judge"]
Knowledge = Literal["none", "stable", "changing"]
Need = Literal["cost", "style", "format", "accuracy", "language", "ability", "unknown"]

HEAVY_ROWS = 300_000
"""Rows a month from which the price per row outweighs a training (1,000 rows of a GPT-4-class model
cost about a dollar)."""
FAST_MS = 100
"""Under this a 7B model on one GPU does not answer a classification."""
SMALL_BUDGET = 500


@dataclass(frozen=True, slots=True)
class Facts:
    """Answers to the questions; None where nobody said."""

    task: Task | None = None
    labelled_rows: int | None = None
    pool_rows: int | None = None
    """Unlabelled inputs."""
    gold_rows: int | None = None
    knowledge: Knowledge | None = None
    need: Need | None = None
    """What a good prompt lacks."""
    hallucination: Literal["fatal", "tolerable"] | None = None
    transparency: bool | None = None
    """Answers have to be explained."""
    latency_ms: int | None = None
    rows_per_month: int | None = None
    tasks: Literal["one", "many"] | None = None
    budget_usd: float | None = None
    team: Literal["none", "some", "ml"] | None = None
    raw_tokens: int | None = None
    """Raw text of the field or language."""
    from_scratch: bool | None = None

    @property
    def team_and_budget(self) -> str | None:
        """`none` where nobody is there to train and there is little money."""
        if self.team is None and self.budget_usd is None:
            return None
        poor = self.budget_usd is not None and self.budget_usd < SMALL_BUDGET
        return "none" if self.team == "none" and (poor or self.budget_usd is None) else "some"

    @property
    def heavy(self) -> bool | None:
        """Whether volume or latency rule an API out."""
        if self.rows_per_month is None and self.latency_ms is None:
            return None
        many = (self.rows_per_month or 0) >= HEAVY_ROWS
        return many or (self.latency_ms is not None and self.latency_ms < FAST_MS)

    @property
    def behaviour(self) -> bool | None:
        """Whether style, format or a skill have to be taught."""
        return None if self.need is None else self.need in ("style", "format", "ability")

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


DEFAULTS = Facts(
    task="generate",
    labelled_rows=0,
    knowledge="none",
    need="unknown",
    hallucination="tolerable",
    transparency=False,
    rows_per_month=0,
    tasks="one",
    team="some",
    raw_tokens=0,
    from_scratch=False,
)
"""What is assumed where nobody says; the path marks it."""


def choices_of(name: str) -> tuple[Any, ...]:
    """The allowed values of a fact; (True, False) for a yes or no, () for a number."""
    annotation = next(one.type for one in fields(Facts) if one.name == name)
    for part in _parts(annotation):
        if get_origin(part) is Literal:
            return get_args(part)
        if part is bool:
            return (True, False)
    return ()


def read_fact(name: str, text: str) -> Any:
    """The value that a person typed.

    Raises: UsageError with what is allowed.
    """
    if name not in {one.name for one in fields(Facts)}:
        names = ", ".join(one.name for one in fields(Facts))
        raise _wrong(f"there is no fact {name!r}", names)
    allowed = choices_of(name)
    plain = text.strip().lower()
    if allowed == (True, False):
        if plain in ("y", "yes", "true", "1", "n", "no", "false", "0"):
            return plain in ("y", "yes", "true", "1")
        raise _wrong(f"{name}: {text!r}", "yes, no")
    if allowed:
        if plain in allowed:
            return plain
        raise _wrong(f"{name}: {text!r}", ", ".join(allowed))
    try:
        number = float(plain.replace(",", "").replace("_", ""))
    except ValueError:
        raise _wrong(f"{name}: {text!r}", "a number") from None
    return number if name == "budget_usd" else int(number)


def with_facts(facts: Facts, given: Mapping[str, str]) -> Facts:
    """The facts with typed ones over them.

    Raises: UsageError.
    """
    return replace(facts, **{name: read_fact(name, text) for name, text in given.items()})


def _parts(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation) or (annotation,):
        yield part
        if get_origin(part) is not Literal and get_args(part):
            yield from get_args(part)
    if get_origin(annotation) is Literal:
        yield annotation


def _wrong(found: str, allowed: str) -> UsageError:
    problem = Problem(found, key="--fact", allowed=allowed)
    return UsageError(str(problem), [problem])
