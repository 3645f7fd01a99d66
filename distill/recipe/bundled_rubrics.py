"""Rubrics that come with the package: a recipe or a command names one without a path."""

from functools import lru_cache
from pathlib import Path

from distill.errors import Problem, RecipeError
from distill.recipe.files import locate, names_a_file, text_of
from distill.recipe.load import bundled_folder
from distill.recipe.rubrics import Rubric, read_rubric
from distill.recipe.schema import Recipe
from distill.recipe.strategy_options import JudgeDataOptions
from distill.recipe.task import JudgeAbsoluteTask, labels_of
from distill.recipe.yaml_file import read_text

FOLDER = "rubrics"
LONGEST_NAME = 40


def bundled_rubrics() -> dict[str, Path]:
    """Name -> file, by name."""
    return {path.stem: path for path in sorted((bundled_folder() / FOLDER).glob("*.md"))}


def rubric_source(recipe: Recipe | None, ref: str) -> str:
    """A rubric's whole text: that of a bundled name, of a file, or the option itself.

    Raises: RecipeError where a file is missing or unreadable.
    """
    bundled = bundled_rubrics().get(ref.strip())
    if bundled is not None:
        return read_text(bundled)
    return text_of(recipe, ref) if recipe else ref


@lru_cache(maxsize=64)
def rubric_text(value: str) -> str:
    """What a judge is told for a row's rubric: the text of a bundled name, else the value."""
    path = bundled_rubrics().get(value) if len(value) < LONGEST_NAME else None
    return value if path is None else read_rubric(read_text(path), value).text


def told(source: str, name: str) -> str:
    """What a judge is told of a rubric: its text without the front matter, where it has one.

    Raises: RecipeError where the front matter is wrong.
    """
    found = with_scale(source, name)
    return source.strip() if found is None else found.text


def with_scale(source: str, name: str) -> Rubric | None:
    """The rubric of a text with front matter; None where it has none.

    Raises: RecipeError where the front matter is wrong.
    """
    return read_rubric(source, name) if source.lstrip("\ufeff \n").startswith("---") else None


def rubrics_of(recipe: Recipe, options: JudgeDataOptions) -> list[str] | str | None:
    """What rows to be judged are given as rubrics: texts, or a file of them.

    Raises: RecipeError where one is missing, wrong, or on another scale than the task's.
    """
    given = options.rubrics
    if given is None:
        return None
    if isinstance(given, str) and not (given in bundled_rubrics() or given.endswith(".md")):
        return given
    return [_text(recipe, ref) for ref in ([given] if isinstance(given, str) else given)]


def _text(recipe: Recipe, ref: str) -> str:
    name = str(locate(recipe, ref.strip())) if names_a_file(ref) else ref
    source = rubric_source(recipe, ref)
    rubric, task = with_scale(source, name), recipe.task
    if rubric is None:
        return source.strip()
    if isinstance(task, JudgeAbsoluteTask) and list(rubric.steps) != labels_of(task):
        problem = Problem(
            found=f"the scale of this rubric is {', '.join(rubric.steps)}",
            file=name if names_a_file(ref) else recipe._source or None,
            key="generate.options.rubrics",
            allowed=f"the task's: {', '.join(labels_of(task) or ())}",
            fix="Set task.scale, or the scale in the rubric's front matter.",
        )
        raise RecipeError(str(problem), [problem])
    return rubric.text
