"""What a recipe and its data already say about which method fits."""

from typing import Any

from distill.errors import DistillError
from distill.plan.facts import Facts, Knowledge, Need, Task
from distill.plan.rungs import Here
from distill.recipe.files import locate
from distill.recipe.schema import Recipe
from distill.rows.readers import read_records
from distill.run.plan.estimate import estimate_recipe

TASKS: dict[str, Task] = {
    "classify": "classify",
    "extract": "extract",
    "generate": "generate",
    "grounded": "grounded",
    "judge_absolute": "judge",
    "judge_pairwise": "judge",
}
CHARACTERS_PER_TOKEN = 4


def facts_of(recipe: Recipe) -> Facts:
    """Counts rows, and reads the intention from the recipe's stages; files that lack count 0."""
    train, strategy = recipe.train, recipe.generate.strategy if recipe.generate else None
    reads_on = train is not None and train.objective == "clm"
    need: Need | None = None
    if recipe.task.kind == "extract":
        need = "format"
    elif train is not None and train.objective == "dpo":
        need = "style"
    elif strategy in ("rationale", "react"):
        need = "ability"
    elif strategy == "context_distillation":
        need = "cost"
    knowledge: Knowledge | None = "changing" if recipe.task.kind == "grounded" else None
    gold, seeds = _rows(recipe, "gold"), _rows(recipe, "seeds")
    return Facts(
        task=TASKS[recipe.task.kind],
        labelled_rows=gold + seeds,
        gold_rows=gold,
        pool_rows=_rows(recipe, "pool"),
        knowledge="stable" if reads_on else knowledge,
        need="language" if reads_on else need,
        transparency=True if strategy == "rationale" else None,
        budget_usd=recipe.budget.usd,
        raw_tokens=_tokens(recipe) if reads_on else None,
        from_scratch=bool(reads_on and recipe.student and recipe.student.init == "scratch"),
    )


def costs_here(recipe: Recipe) -> Here | None:
    """Sizes and prices out of the recipe's estimate; None where it has none, or no price is known.

    A recipe with problems is advised on all the same: `check` says what they are.
    """
    try:
        found = estimate_recipe(recipe)
    except DistillError:
        return None
    usd, candidates = found["usd"], found["candidates"]
    if not candidates or not usd or usd["online"] is None or not candidates["value"]:
        return None
    asked, tokens, calls = candidates["value"], found["tokens"], found["calls"]["value"]
    if not calls:
        return None
    return Here(
        rows=found["accept"] or asked,
        usd=usd["online"]["value"],
        read=tokens["input"]["value"] / calls,
        written=tokens["output"]["value"] / calls,
    )


def _rows(recipe: Recipe, name: str) -> int:
    return len(_records(recipe, name))


def _tokens(recipe: Recipe) -> int:
    """Tokens of the raw text, at four characters each."""
    texts = [*_records(recipe, "documents"), *_records(recipe, "pool")]
    return sum(len(str(value)) for row in texts for value in row.values()) // CHARACTERS_PER_TOKEN


def _records(recipe: Recipe, name: str) -> list[dict[str, Any]]:
    ref = getattr(recipe.data, name)
    if not ref:
        return []
    try:
        path = locate(recipe, ref)
        if path.is_dir():
            files = sorted([*path.rglob("*.txt"), *path.rglob("*.md")])
            return [{"text": file.read_text("utf-8", errors="replace")} for file in files]
        return read_records(path)
    except (DistillError, OSError):
        return []
