"""Objectives that learn rows as they are given: raw text, or which of two answers is preferred."""

from distill.recipe.generation import Generate
from distill.recipe.schema import Recipe

FIELDS = {"clm": ("text",), "dpo": ("chosen", "rejected")}
"""Objective -> the fields that its rows must have beside the task's input and output."""

DOCUMENT = ("id", "title", "text")
"""What a document has."""


def objective_of(recipe: Recipe) -> str:
    """What the student learns its rows by; `distill` also where nothing is trained."""
    return recipe.train.objective if recipe.train else "distill"


def learns_given_rows(recipe: Recipe) -> bool:
    """Whether the rows of the pool, or the documents, are the dataset: nobody is asked."""
    asked = recipe.generate is not None and (recipe.generate.fields or recipe.generate.strategy)
    source = recipe.data.pool or (recipe.data.documents and objective_of(recipe) == "clm")
    return objective_of(recipe) in FIELDS and not asked and bool(source)


def with_given_rows(recipe: Recipe) -> Recipe:
    """The recipe with the stage that takes the given rows, where there are any."""
    if recipe.generate is not None or not learns_given_rows(recipe):
        return recipe
    return recipe.model_copy(update={"generate": Generate()})
