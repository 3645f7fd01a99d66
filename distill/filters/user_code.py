"""Functions of the user's own, by import path: `package.module:function` or `file.py:function`.

Only what the recipe names is run, and it is given a row's fields as values; the text of a row is
never executed.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from distill.filters.filter import Context


class Said(NamedTuple):
    """What a function said of a row."""

    keep: bool
    reason: str | None
    score: float | None


def load_function(ref: str, context: Context) -> Callable[..., Any]:
    """Returns the function that an option names.

    Modules are looked for beside the recipe first. Raises: RecipeError where it cannot be loaded.
    """
    place, _, name = ref.rpartition(":")
    if not place or not name:
        raise context.refuse(
            f"{ref!r} names no function", allowed="package.module:function or file.py:function"
        )
    try:
        module = _file(context.path(place)) if place.endswith(".py") else _module(place, context)
    except Exception as error:  # the user's module may raise anything while it loads
        raise context.refuse(f"cannot load {place}: {type(error).__name__}: {error}") from error
    found = getattr(module, name, None)
    if not callable(found):
        there = sorted(key for key, value in vars(module).items() if callable(value))
        raise context.refuse(f"{place} has no function {name!r}", allowed=", ".join(there)[:300])
    return found  # type: ignore[no-any-return]


def read_answer(answer: Any, least: float | None) -> Said:
    """Returns what a function's answer means.

    True or None keeps, False drops; text drops with that reason; a number is a score that `least`
    is compared with (1 counts as True where there is no `least`); a tuple is (keep or score,
    reason) or (keep, reason, score). Raises: TypeError for anything else.
    """
    match answer:
        case None:
            return Said(True, None, None)
        case bool():
            return Said(answer, None, float(answer))
        case str():
            return Said(not answer, answer or None, None)
        case int() | float():
            score = float(answer)
            return Said(score >= (0.5 if least is None else least), None, score)
        case (first, reason) if reason is None or isinstance(reason, str):
            said = read_answer(first, least)
            return said._replace(reason=reason if not said.keep else None)
        case (bool() as keep, reason, score) if reason is None or isinstance(reason, str):
            number = None if score is None else float(score)
            keep = keep if least is None or number is None else number >= least
            return Said(keep, None if keep else reason, number)
    raise TypeError(f"{type(answer).__name__} is no answer")


def _file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"distill_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _module(name: str, context: Context) -> Any:
    beside = str(Path(context.file).parent) if context.file else str(Path())
    file = Path(beside, *name.split(".")).with_suffix(".py")
    if file.is_file():
        return _file(file)  # another module of that name may have been imported from elsewhere
    sys.path.insert(0, beside)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(beside)
