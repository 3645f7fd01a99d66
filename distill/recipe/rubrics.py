"""A rubric: Markdown with front matter that says its scale."""

from dataclasses import dataclass
from typing import Any

import yaml

from distill.errors import Problem, RecipeError

ALLOWED = "scale: {min: 1, max: 5}, or scale: [poor, fair, good] from worst to best"


@dataclass(frozen=True, slots=True)
class Rubric:
    """What a judge is told, and the answers it may give."""

    text: str
    """Without the front matter."""
    steps: tuple[str, ...]
    """The answers, from worst to best."""
    scores: tuple[float, ...]
    """What each is worth: the number itself, or the place of a word counted from 1."""

    def score_of(self, given: float | str) -> float:
        """Returns the score that a recipe's `min` means.

        Raises: ValueError where the scale has no such step.
        """
        if isinstance(given, str) and given in self.steps:
            return self.scores[self.steps.index(given)]
        score = float(given)
        if not self.scores[0] <= score <= self.scores[-1]:
            raise ValueError(given)
        return score


def read_rubric(source: str, name: str) -> Rubric:
    """Returns the rubric of a text.

    Args:
        source: The whole file.
        name: What errors call it.

    Raises: RecipeError when there is no front matter or its scale is none.
    """
    lines = source.lstrip("\ufeff").splitlines()
    ends = [at for at, line in enumerate(lines) if line.strip() == "---"]
    if len(ends) < 2 or any(line.strip() for line in lines[: ends[0]]):
        raise _error(name, "the rubric has no front matter", "Begin with --- and close with ---.")
    try:
        front = yaml.safe_load("\n".join(lines[ends[0] + 1 : ends[1]]))
    except yaml.YAMLError as error:
        raise _error(name, f"the front matter is no YAML: {error}", None) from error
    scale = front.get("scale") if isinstance(front, dict) else None
    text = "\n".join(lines[ends[1] + 1 :]).strip()
    if not text:
        raise _error(name, "the rubric says nothing after its front matter", None)
    steps, scores = _steps(scale, name)
    return Rubric(text, steps, scores)


def _steps(scale: Any, name: str) -> tuple[tuple[str, ...], tuple[float, ...]]:
    match scale:
        case {"min": int(low), "max": int(high), **rest} if low < high <= low + 100 and not rest:
            numbers = range(low, high + 1)
            return tuple(map(str, numbers)), tuple(map(float, numbers))
        case [_, _, *_]:
            # YAML reads a bare yes and no as true and false.
            words = tuple(_word(step) for step in scale)
            if len(set(words)) == len(words):
                return words, tuple(float(place) for place in range(1, len(words) + 1))
    raise _error(name, f"the front matter gives no scale that can be used: {scale!r}", ALLOWED)


def _word(step: Any) -> str:
    if isinstance(step, bool):
        return "yes" if step else "no"
    return str(step)


def _error(name: str, found: str, fix: str | None) -> RecipeError:
    problem = Problem(found=found, file=name, allowed=ALLOWED, fix=fix)
    return RecipeError(str(problem), [problem])
