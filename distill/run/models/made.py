"""Local teachers that another recipe trains: run first, inside this run's directory."""

from collections.abc import Callable
from pathlib import Path

from distill.progress import Listener, Progress
from distill.recipe.files import locate
from distill.recipe.load import load_recipe
from distill.recipe.schema import Recipe
from distill.run.directory import RunDirectory
from distill.run.packages import local_or_hub
from teachers.config import LocalTeacher

Run = Callable[[Recipe, Path], object]


def teacher_sources(
    recipe: Recipe, directory: RunDirectory, listen: Listener, run: Run
) -> dict[str, str]:
    """Folder or hub id of every local teacher; those of a recipe are trained first, by `run`."""
    sources = {}
    for name, config in recipe.teachers.items():
        if not isinstance(config, LocalTeacher):
            continue
        if config.recipe:
            sources[name] = str(_trained(recipe, name, config.recipe, directory, listen, run))
        elif config.model:
            sources[name] = local_or_hub(recipe, config.model)
    return sources


def _trained(
    recipe: Recipe, name: str, ref: str, directory: RunDirectory, listen: Listener, run: Run
) -> Path:
    path = locate(recipe, ref)
    folder = directory.root / "teachers" / name
    listen(Progress("teacher", 0, note=f"teacher {name!r} is the student of {path.name}"))
    run(load_recipe(path, [f"seed={recipe.seed}"]), folder)
    return (folder / "student").resolve()
