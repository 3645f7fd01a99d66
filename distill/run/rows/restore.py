"""Brings back the rows that a filter dropped; later filters still judge them."""

from typing import Any

from distill.errors import Problem, UsageError
from distill.progress import Listener, silent
from distill.recipe.schema import Recipe
from distill.rows.stages import read_stage
from distill.run.directory import RunDirectory, held
from distill.run.rows.steps import dropped_by
from distill.run.walk import run_recipe


def restore(directory: RunDirectory, name: str, listen: Listener = silent) -> dict[str, Any]:
    """Accepts what the filter dropped, and brings the dataset up to date.

    The choice is kept in restored.json and holds for every later run of the recipe in this folder,
    also for what the filter would drop then. Returns the filter, how many rows came back, what
    later filters dropped of them, and the report's rows.

    Raises: UsageError where the run has no such filter or has not filtered yet, and for
    not_in_gold; what `run_recipe` raises.
    """
    done = directory.done("filter")
    if done is None:
        raise _error(directory, "nothing was filtered here yet", "Run the recipe first.")
    order: list[str] = done.details["order"]
    if name not in order:
        allowed = ", ".join(dict.fromkeys(order)) or "none: this run has no filters"
        raise _error(directory, f"this run has no filter {name!r}", None, allowed)
    if name == "not_in_gold":
        raise _error(
            directory,
            "rows that hold gold are not brought back: the student would be tested on them",
            "Raise `ngram` or `near` of not_in_gold if it drops too much, or mend the gold.",
        )
    dropped = {row.id for row in _rows(directory) if dropped_by(row) == name}
    recipe = _locked(directory)
    if dropped:
        with held(directory):
            names = [*directory.restored()]
            chosen = {"filters": [*names, *([] if name in names else [name])]}
            directory.write_json(directory.root / "restored.json", chosen)
    until = "split" if directory.done("split") else "filter"
    report = run_recipe(recipe, run_dir=directory.root, until=until, listen=listen)
    now = [row for row in _rows(directory) if row.id in dropped]
    later: dict[str, int] = {}
    for row in now:
        if row.status != "accepted":
            later[row.reason or "unknown"] = later.get(row.reason or "unknown", 0) + 1
    return {
        "filter": name,
        "dropped": len(dropped),
        "restored": sum(row.status == "accepted" for row in now),
        "dropped_later": dict(sorted(later.items())),
        "rows": report["rows"],
    }


def _rows(directory: RunDirectory) -> list[Any]:
    return list(read_stage(directory.stage("filter")))


def _locked(directory: RunDirectory) -> Recipe:
    """The recipe that the run was last carried out with, overrides included."""
    lock = directory.read_json("lock.json")
    recipe = Recipe.model_validate(lock["recipe"])
    recipe._source = lock["source"]
    return recipe


def _error(
    directory: RunDirectory, found: str, fix: str | None, allowed: str | None = None
) -> UsageError:
    problem = Problem(found=found, file=str(directory.root), allowed=allowed, fix=fix)
    return UsageError(str(problem), [problem])
