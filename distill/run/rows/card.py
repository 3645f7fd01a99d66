"""What a run knows of its dataset, for the card."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from distill.recipe.schema import Recipe
from distill.report.card import DatasetFacts
from distill.rows.row import Row
from distill.run.context import Context
from distill.run.directory import RunDirectory
from distill.run.keys import asked_teachers, recipe_hash
from distill.run.lock import prompt_hashes
from teachers.budget import Totals


def dataset_facts(
    context: Context, splits: Mapping[str, int], rejected: Sequence[Row], copies: int = 0
) -> DatasetFacts:
    """The facts of a run whose rows are sifted; `rejected` holds the failed ones too."""
    directory, totals = context.directory, context.teachers.budget.totals()
    reviewed = directory.done("review") is not None
    return facts_of(
        context.recipe, directory, totals, splits, rejected, reviewed=reviewed, copies=copies
    )


def facts_of(
    recipe: Recipe,
    directory: RunDirectory,
    totals: Totals | None,
    splits: Mapping[str, int],
    rejected: Sequence[Row],
    *,
    reviewed: bool,
    copies: int = 0,
) -> DatasetFacts:
    """The same, of a run that nobody walks.

    `reviewed` says that people have looked at it, `copies` how many rows are copies of others.
    """
    made, sifted = directory.done("generate"), directory.done("filter")
    filters = list(sifted.details["order"]) if sifted else []
    asked = totals is not None and (totals.requests or totals.stored_answers)
    return DatasetFacts(
        name=recipe.name,
        task=recipe.task.kind,
        splits=splits,
        rejected=len(rejected),
        teachers={name: recipe.teachers[name].model or "" for name in asked_teachers(recipe)},
        prompts=prompt_hashes(recipe),
        filters=filters,
        license=recipe.export.license if recipe.export else None,
        recipe_hash=recipe_hash(recipe),
        strategy=recipe.generate.strategy if recipe.generate else None,
        candidates=made.counts["in"] if made else None,
        reasons=Counter(row.reason or "unknown" for row in rejected),
        cost=totals.as_dict() if totals is not None and asked else {},
        notes=list(_notes(made.details if made else {}, copies)),
        limits=list(_limits(recipe, filters, reviewed=reviewed)),
    )


def _notes(details: Mapping[str, object], copies: int) -> Iterator[str]:
    if copies:
        yield (
            f"train.jsonl holds {copies} more rows: copies in the other order, without reference "
            "or without reasons; `augmented` and `copy_of` say of which row."
        )
    short, probe = details.get("shortfall"), details.get("probe")
    if isinstance(short, Mapping):
        yield f"{short['got']} of the {short['accept']} rows that were wanted: {short['why']}."
    if isinstance(probe, Mapping) and probe["overall"]["value"] is not None:
        figure = probe["overall"]
        yield (
            f"The teacher `{probe['teacher']}` was measured on {figure['n']} gold rows first: "
            f"{probe['metric']} {figure['value']:.3f}."
        )


def _limits(recipe: Recipe, filters: Sequence[str], *, reviewed: bool) -> Iterator[str]:
    if recipe.data.gold is None:
        yield "No gold was given: overlap with a test set was not looked for."
    if not {"near_duplicate", "semantic_duplicate"} & set(filters):
        yield "Near-duplicates were not looked for."
    if not {"judge", "verify", "agree"} & set(filters):
        yield "No second opinion on the answers was asked for."
    if "pii" not in filters:
        yield "Personal data was not looked for."
    if not reviewed:
        yield "No person has looked at the rows."
