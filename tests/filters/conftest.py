"""Recipes and rows for the filter tests."""

import asyncio

import pytest

from distill.filters.chain import build_chain
from distill.recipe.schema import Recipe
from distill.rows.row import Row

FIELDS = {
    "text": {"ask": "writer", "prompt": "write"},
    "label": {"ask": "writer", "prompt": "label {{ text }}", "choices": "labels"},
}


@pytest.fixture
def recipe_of():
    """Builds a recipe of a classify task with the filters."""

    def build(*filters, **more):
        plain = {
            "name": "t",
            "task": {"kind": "classify", "labels": ["a", "b"]},
            "generate": {"candidates": 5, "fields": FIELDS},
            "filter": list(filters),
            **more,
        }
        return Recipe.model_validate(plain)

    return build


@pytest.fixture
def sift(recipe_of):
    """Runs one filter over field values and returns the rows."""

    def run(filter, *fields, gold=(), tokenizer=None, **more):
        chain = build_chain(recipe_of(filter, **more), gold=gold, tokenizer=tokenizer)
        rows = [Row(f"{at:03}", value) for at, value in enumerate(fields)]
        return asyncio.run(chain.sift(rows))

    return run


@pytest.fixture
def reasons(sift):
    """Runs one filter and returns the reason of each row."""
    return lambda *args, **more: [row.reason for row in sift(*args, **more)]
