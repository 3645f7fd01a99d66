"""From a YAML file, or the name of a bundled recipe, to a Recipe."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import distill
from distill.errors import Problem, RecipeError
from distill.recipe.overrides import FILE, apply_overrides
from distill.recipe.problems import as_problems, keys_of
from distill.recipe.schema import Recipe
from distill.recipe.suggest import did_you_mean
from distill.recipe.wording import found_words
from distill.recipe.yaml_file import read_text, read_yaml


@dataclass(frozen=True, slots=True)
class BundledRecipe:
    """A recipe that comes with the package."""

    name: str
    path: Path
    what: str
    hardware: str
    takes: str
    """Wall time and cost."""
    source: str
    """Method and paper."""
    deviation: str
    """Where we differ from it."""
    last_run: str
    """A date, or "not run"."""


def bundled_folder() -> Path:
    """Where the recipes lie: inside an installed package, beside it in a source tree."""
    package = Path(distill.__file__).parent
    inside = package / "_recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def bundled_recipes() -> list[BundledRecipe]:
    """The recipes that come with the package, by name."""
    folder = bundled_folder()
    paths = sorted([*folder.glob("*.yaml"), *folder.glob("examples/*.yaml")], key=lambda p: p.stem)
    found = ((path, read_text(path)) for path in paths)
    return [
        BundledRecipe(path.stem, path, **_headers(text))
        for path, text in found
        if re.search(r"^version:", text, re.M) and re.search(r"^task:", text, re.M)
    ]


def load_recipe(ref: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe of a file or of a bundled name, with `--set` overrides applied.

    Raises: RecipeError with every problem found.
    """
    path = _find(ref)
    yaml = read_yaml(path)
    if not isinstance(yaml.data, dict):
        what = "is empty" if yaml.data is None else f"holds {found_words(yaml.data)}"
        raise _error(
            Problem(
                found=f"the file {what}, not a mapping of keys",
                file=str(path),
                line=1,
                allowed=", ".join(keys_of(Recipe)),
                fix="Start with `version: 1`.",
            )
        )
    set_paths = apply_overrides(yaml.data, overrides)
    try:
        recipe = Recipe.model_validate(yaml.data)
    except ValidationError as exc:
        problems = as_problems(exc, Recipe, yaml.data, str(path), yaml.lines)
        problems = [_from_set(problem, set_paths) for problem in problems]
        count = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise RecipeError(f"{problems[0]}{count}", problems) from None
    except RecursionError:
        raise _error(Problem(found="nested too deeply", file=str(path))) from None
    recipe._source = str(path.resolve())
    recipe._lines = dict(yaml.lines)
    return recipe


def _find(ref: str | Path) -> Path:
    path = Path(ref).expanduser()
    if os.path.isfile(path):  # unlike Path.is_file, also false for names too long to exist
        return path
    bundled = bundled_recipes()
    for recipe in bundled:
        if recipe.name == str(ref):
            return recipe.path
    names = [recipe.name for recipe in bundled]
    what = (
        "is a folder, not a recipe" if os.path.isdir(path) else "is no file and no bundled recipe"
    )
    raise _error(
        Problem(
            found=f"{str(ref)!r} {what}",
            allowed=f"a path, or one of: {', '.join(names) or 'none bundled'}",
            fix=did_you_mean(str(ref), [*names, *_beside(path)]) or "List them: distill recipes",
        )
    )


def _beside(path: Path) -> Iterable[str]:
    try:
        return [str(path.with_name(other.name)) for other in path.parent.glob("*.yaml")]
    except (OSError, ValueError):
        return []


def _error(problem: Problem) -> RecipeError:
    return RecipeError(str(problem), [problem])


def _from_set(problem: Problem, set_paths: set[str]) -> Problem:
    """A problem that an override brought in names the override, not a line of the file."""
    key = problem.key or ""
    if any(
        key == path or key.startswith(f"{path}.") or path.startswith(f"{key}.")
        for path in set_paths
    ):
        return replace(problem, file=FILE, line=None)
    return problem


HEADERS = ("what", "hardware", "takes", "source", "deviation", "last_run")
"""What the comment at a bundled recipe's top says, as `# last run: ...`."""


def _headers(text: str) -> dict[str, str]:
    found: dict[str, Any] = {
        name: re.search(rf"^#\s*{name.replace('_', ' ')}:\s*(.+?)\s*$", text, re.M)
        for name in HEADERS
    }
    return {name: match[1] if match else "" for name, match in found.items()}
