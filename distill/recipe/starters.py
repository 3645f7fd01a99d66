"""The starters of `distill init`: a recipe and sample rows that run with a scripted teacher."""

import shutil
from pathlib import Path

from distill.errors import Problem, UsageError
from distill.recipe.load import bundled_folder

FOLDER = "templates"
RECIPE = "recipe.yaml"


def starters() -> list[str]:
    """The names of the templates."""
    return sorted(path.parent.name for path in (bundled_folder() / FOLDER).glob(f"*/{RECIPE}"))


def write_starter(template: str, folder: Path) -> list[str]:
    """Copies a template into a folder and returns the files written, relative to it.

    Raises: UsageError for an unknown template, or where a file of it is there already.
    """
    if template not in starters():
        problem = Problem(
            f"there is no template {template!r}", key="--template", allowed=", ".join(starters())
        )
        raise UsageError(str(problem), [problem])
    source = bundled_folder() / FOLDER / template
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    if there := [name for name in files if (folder / name).exists()]:
        problem = Problem(
            f"{there[0]} is there already", file=str(folder), fix="Name another folder."
        )
        raise UsageError(str(problem), [problem])
    try:
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)
    except OSError as error:
        problem = Problem(f"cannot be written: {error.strerror}", file=str(folder))
        raise UsageError(str(problem), [problem]) from error
    return [str(name) for name in files]
