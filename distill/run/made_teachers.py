"""Local teachers that another recipe trains: run first, inside this run's directory."""

from collections.abc import Sequence
from pathlib import Path

from distill.progress import Listener, Progress
from distill.recipe.files import locate
from distill.recipe.load import load_recipe
from distill.recipe.schema import Recipe
from distill.run.directory import RunDirectory
from distill.run.packages import local_or_hub
from teachers.config import LocalTeacher


def teacher_sources(
    recipe: Recipe, directory: RunDirectory, listen: Listener, stages: Sequence[str]
) -> dict[str, str]:
    """Folder or hub id of every local teacher; trains those that come from a recipe."""
    sources = {}
    for name, config in recipe.teachers.items():
        if not isinstance(config, LocalTeacher):
            continue
        if config.recipe:
            sources[name] = str(_trained(recipe, name, config.recipe, directory, listen))
        elif config.model:
            sources[name] = local_or_hub(recipe, config.model)
    return sources


def _trained(recipe: Recipe, name: str, ref: str, directory: RunDirectory, listen: Listener) -> Path:
    from distill.run.walk import run_recipe  # a run inside a run: the walk calls itself

    path = locate(recipe, ref)
    folder = directory.root / "teachers" / name
    listen(Progress("teacher", 0, note=f"teacher {name!r} is the student of {path.name}"))
    run_recipe(load_recipe(path, [f"seed={recipe.seed}"]), run_dir=folder, listen=listen)
    return (folder / "student").resolve()
