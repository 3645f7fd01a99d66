"""`--set a.b=v`: the only way to change a recipe from the command line."""

from collections.abc import Sequence
from typing import Any

from distill.errors import Problem, RecipeError
from distill.recipe.yaml_file import parse_yaml

FILE = "--set"


def apply_overrides(data: Any, overrides: Sequence[str]) -> set[str]:
    """Changes the recipe's plain data in place; returns the key paths that were set.

    Raises: RecipeError with every override that cannot be applied.
    """
    problems: list[Problem] = []
    paths: set[str] = set()
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        try:
            if not equals or not all(path.split(".")):
                found = f"{override!r} is not of the form a.b=value"
                raise _refused(None, found, "Write for example --set train.lr=1e-4")
            _put(data, path, _value(path, text))
            paths.add(path)
        except RecipeError as exc:
            problems.extend(exc.problems)
    if problems:
        raise RecipeError(str(problems[0]), problems)
    return paths


def _refused(key: str | None, found: str, fix: str | None = None) -> RecipeError:
    problem = Problem(found=found, file=FILE, key=key, fix=fix)
    return RecipeError(str(problem), [problem])


def _value(path: str, text: str) -> Any:
    """The value by the rules of the recipe file; a prompt with {{ ... }} need not be quoted."""
    try:
        return parse_yaml(text, FILE).data
    except RecipeError as exc:
        if "{{" in text or "{%" in text:
            return text
        raise _refused(path, exc.problems[0].found, "Put the value in quotes.") from None


def _put(data: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    here = data
    for depth, part in enumerate(parents):
        here = _inside(here, part, ".".join(parents[: depth + 1]))
    if isinstance(here, list):
        here[_index(here, last, path)] = value
    else:
        here[last] = value


def _inside(here: Any, part: str, path: str) -> Any:
    """The mapping or list at `part`, made where there is none."""
    key: Any = _index(here, part, path) if isinstance(here, list) else part
    below = here[key] if isinstance(here, list) else here.get(key)
    if isinstance(below, dict | list):
        return below
    if isinstance(below, str) and isinstance(here, list):
        below = {below: {}}  # the filter `- refusal`, written as a word
    elif below is None:
        below = {}
    else:
        raise _refused(path, f"holds {below!r}, which has no keys", f"Set {path} itself.")
    here[key] = below
    return below


def _index(here: list[Any], part: str, path: str) -> int:
    if part.isascii() and part.isdigit() and int(part) < len(here):
        return int(part)
    raise _refused(path, f"no item {part!r} in a list of {len(here)}", "Count from 0.")
