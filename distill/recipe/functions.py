"""The user's own functions, named as `package.module:function`."""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.errors import Problem, RecipeError
from distill.recipe.files import folder_of
from distill.recipe.schema import Recipe


def load_function(recipe: Recipe, ref: str, key: str) -> Callable[..., Any]:
    """The function; modules beside the recipe are found as well as installed ones.

    Raises: RecipeError when there is no such module or function.
    """
    module, colon, name = ref.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), name]):
        raise _wrong(recipe, key, f"{ref!r} names no function", "package.module:function")
    folder = str(folder_of(recipe).resolve())
    sys.path.insert(0, folder)
    try:
        function = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        where = "a module on the Python path, or beside the recipe"
        raise _wrong(recipe, key, f"no module {error.name!r}", where) from None
    except AttributeError:
        raise _wrong(recipe, key, f"{module} has no function {name!r}") from None
    except Exception as error:
        what = f"{module} cannot be imported: {type(error).__name__}: {error}"
        raise _wrong(recipe, key, what) from error
    finally:
        sys.path.remove(folder)
    if not inspect.iscoroutinefunction(function):
        raise _wrong(recipe, key, f"{ref!r} is no `async def` function")
    return function  # type: ignore[no-any-return]


def source_of(function: Callable[..., Any]) -> str:
    """The text of the function's module: another text may make other values."""
    path = inspect.getsourcefile(function)
    return Path(path).read_text("utf-8") if path else ""


def _wrong(recipe: Recipe, key: str, found: str, allowed: str | None = None) -> RecipeError:
    line = recipe._lines.get(key)
    problem = Problem(found, recipe._source or None, line, key, allowed, "Mend the import path.")
    return RecipeError(str(problem), [problem])
