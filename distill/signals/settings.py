"""What is kept of a teacher's probabilities: part of every key of a cache."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from distill.errors import Problem, RecipeError
from distill.signals.codecs import CODECS

Kind = Literal["token", "topk", "sampled"]


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """What is kept per supervised position, and how it is written."""

    kind: Kind = "topk"
    k: int = 64
    """topk: at most so many tokens."""
    top_p: float | None = None
    """topk: only as many tokens as hold this mass; absent: always k."""
    min_k: int = 4
    """topk: with `top_p`, at least so many tokens."""
    temperatures: tuple[float, ...] = ()
    """topk: besides 1, those that a loss will use."""
    draws: int = 50
    """sampled: how often each position is drawn from."""
    seed: int = 0
    """sampled: of the draws."""
    codec: str = "set"

    def checked(self) -> "CaptureSettings":
        """These settings.

        Raises: RecipeError when they do not fit each other.
        """
        problems = []
        if self.codec not in CODECS:
            problems.append(_problem("codec", f"no codec {self.codec!r}", ", ".join(CODECS)))
        elif self.kind not in CODECS[self.codec].kinds:
            fitting = [name for name, codec in CODECS.items() if self.kind in codec.kinds]
            found = f"the codec {self.codec!r} does not hold {self.kind!r} signals"
            problems.append(_problem("codec", found, ", ".join(fitting)))
        if self.k < 1 or self.min_k < 1 or self.draws < 1:
            problems.append(_problem("k", "k, min_k and draws start at 1", "1 or more"))
        if self.top_p is not None and not 0 < self.top_p <= 1:
            problems.append(_problem("top_p", f"top_p is {self.top_p}", "above 0, at most 1"))
        if any(temperature <= 0 for temperature in self.temperatures):
            found = f"temperatures are {self.temperatures}"
            problems.append(_problem("temperatures", found, "above 0"))
        if problems:
            raise RecipeError(str(problems[0]), problems)
        return self

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain data."""
        return {**asdict(self), "temperatures": list(self.temperatures)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CaptureSettings":
        """The settings of their plain data."""
        return cls(**{**data, "temperatures": tuple(data["temperatures"])})


def _problem(key: str, found: str, allowed: str) -> Problem:
    return Problem(found, key=f"train.signal.{key}", allowed=allowed)
