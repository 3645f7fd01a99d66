"""distill: from a recipe, a teacher and a few rows to a small model that a team can trust.

`load_recipe` reads a recipe, `run` does what `distill run` does and returns the report, and `Judge`
loads a trained judge.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Binds the package `distill.run` before the function of the same name below takes its place here;
# `from distill.run.x import y` keeps working, and neither line imports anything heavy.
import distill.run  # noqa: F401

if TYPE_CHECKING:
    from distill.judge.judge import Judge
    from distill.recipe.schema import Recipe

__all__ = ["Judge", "__version__", "load_recipe", "run"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Imports `Judge` when it is first asked for."""
    if name == "Judge":
        from distill.judge.judge import Judge

        return Judge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_recipe(ref: str | Path, overrides: Sequence[str] = ()) -> "Recipe":
    """The recipe in a file, or a bundled one by name, with `a.b=v` overrides applied.

    Raises: RecipeError with every problem found.
    """
    from distill.recipe.load import load_recipe as load

    return load(ref, overrides)


def run(
    recipe: "Recipe", *, run_dir: str | Path | None = None, until: str | None = None
) -> dict[str, Any]:
    """Runs or continues a recipe and returns its report (CONTRACT section 4).

    Raises: DistillError; its `exit_code` is the one that the command would have.
    """
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    from distill.run.walk import run_recipe

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_recipe(recipe, run_dir=run_dir, until=until)
    # A notebook has a loop of its own, in which no second one can run.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run_recipe, recipe, run_dir=run_dir, until=until).result()
