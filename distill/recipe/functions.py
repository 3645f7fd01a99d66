"""The user's own functions, named as `package.module:function` or `file.py:function`.

Only what the recipe names is run, and it is given a row's fields as values; the text of a row is
never executed.
"""

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.errors import Problem, RecipeError
from distill.recipe.files import folder_of
from distill.recipe.schema import Recipe

ALLOWED = "package.module:function or file.py:function"
Refuse = Callable[[str, str | None], RecipeError]
"""From what was found and what is allowed to the error that says so."""


def load_function(recipe: Recipe, ref: str, key: str) -> Callable[..., Any]:
    """The `async def` function that `key` of the recipe names.

    Raises: RecipeError when there is no such module or function.
    """

    def refuse(found: str, allowed: str | None = None) -> RecipeError:
        line = recipe._lines.get(key)
        fix = "Mend the import path."
        problem = Problem(found, recipe._source or None, line, key, allowed, fix)
        return RecipeError(str(problem), [problem])

    function = find_function(ref, folder_of(recipe), refuse)
    if not inspect.iscoroutinefunction(function):
        raise refuse(f"{ref!r} is no `async def` function")
    return function


def find_function(ref: str, folder: Path, refuse: Refuse) -> Callable[..., Any]:
    """The function of a reference; what lies in `folder` comes before what is installed.

    Raises: what `refuse` makes, when there is no such module or function.
    """
    place, _, name = ref.rpartition(":")
    is_file = place.endswith(".py")
    if not name.isidentifier() or not (
        is_file or all(part.isidentifier() for part in place.split("."))
    ):
        raise refuse(f"{ref!r} names no function", ALLOWED)
    try:
        module = _from_file(folder / place, folder) if is_file else _module(place, folder)
    except ModuleNotFoundError as error:
        where = "a module on the Python path, or beside the recipe"
        raise refuse(f"{place}: no module {error.name!r}", where) from None
    except Exception as error:  # the user's module may raise anything while it loads
        raise refuse(f"cannot load {place}: {type(error).__name__}: {error}", None) from error
    found = getattr(module, name, None)
    if not callable(found):
        there = sorted(key for key, value in vars(module).items() if callable(value))
        raise refuse(f"{place} has no function {name!r}", ", ".join(there)[:300] or None)
    return found  # type: ignore[no-any-return]


def source_of(function: Callable[..., Any]) -> str:
    """The text of the function's module: another text may make other values."""
    path = inspect.getsourcefile(function)
    return Path(path).read_text("utf-8") if path else ""


def _module(name: str, folder: Path) -> Any:
    file = folder / f"{name}.py"
    if file.is_file():
        return _from_file(file, folder)  # one of that name may be imported from elsewhere
    return _importing(folder, lambda: importlib.import_module(name))


def _from_file(path: Path, folder: Path) -> Any:
    """A file as a module, loaded once as long as its text stays."""
    text = path.read_bytes()
    mark = hashlib.sha256(str(path.resolve()).encode() + text).hexdigest()[:16]
    name = f"distill_user_{path.stem}_{mark}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        _importing(folder, lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _importing(folder: Path, act: Callable[[], Any]) -> Any:
    """Does it while modules of the folder can be imported."""
    beside = str(folder.resolve())
    sys.path.insert(0, beside)
    try:
        return act()
    finally:
        sys.path.remove(beside)
