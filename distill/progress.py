"""How stages tell what they are doing: plain events, which only the command line prints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a stage stands."""

    stage: str
    done: int
    total: int | None = None
    """None while it is not known."""
    figures: Mapping[str, float | str] = field(default_factory=dict)
    """More to show: {"accepted": 12, "usd": 0.03, "loss": 1.2}."""
    note: str | None = None
    """A line worth keeping on the screen ("teacher `big`: run first from teacher.yaml")."""


Listener = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Listens to nothing."""
