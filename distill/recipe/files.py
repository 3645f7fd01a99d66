"""Files that a recipe names: relative paths start at the recipe's own folder."""

from pathlib import Path

from distill.errors import Problem, RecipeError
from distill.recipe.schema import Recipe
from distill.recipe.suggest import did_you_mean
from distill.recipe.yaml_file import read_text

TEMPLATE_ENDINGS = (".md", ".txt", ".j2", ".jinja")


def folder_of(recipe: Recipe) -> Path:
    """The folder that relative paths start at: the recipe's own, else the current one."""
    return Path(recipe._source).parent if recipe._source else Path()


def locate(recipe: Recipe, ref: str) -> Path:
    """The file or folder that a recipe means by `ref`.

    Raises: RecipeError when there is nothing of that name.
    """
    path = folder_of(recipe) / Path(ref).expanduser()
    try:
        if path.exists():
            return path
        folder = path.parent
        beside = [other.name for other in folder.iterdir()] if folder.is_dir() else []
    except (OSError, ValueError):  # a name too long, an unreadable folder, a NUL in the name
        beside = []
    problem = Problem(
        found=f"no file {ref!r}",
        file=recipe._source or None,
        allowed=f"a path relative to {folder_of(recipe)}",
        fix=did_you_mean(path.name, beside) or "Create it or mend the path.",
    )
    raise RecipeError(str(problem), [problem])


def missing_folder(recipe: Recipe, model: str) -> bool:
    """Whether a model is written as a path, and there is none; other names are left to the hub."""
    if not model.startswith(("/", "./", "../", "~")):
        return False
    return not (folder_of(recipe) / Path(model).expanduser()).exists()


def names_a_file(ref: str) -> bool:
    """Whether a prompt is the name of a file rather than the text itself."""
    return "\n" not in ref and "{{" not in ref and ref.strip().endswith(TEMPLATE_ENDINGS)


def text_of(recipe: Recipe, ref: str) -> str:
    """The text of a prompt: itself, or the content of the file that its one line names.

    Raises: RecipeError when the file is missing, unreadable or not UTF-8.
    """
    return read_text(locate(recipe, ref.strip())) if names_a_file(ref) else ref
