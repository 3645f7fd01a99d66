"""Recipes and rows for the filter tests."""

import asyncio

import pytest

from distill.filters.chain import build_chain
from distill.recipe.schema import Recipe
from distill.rows.row import Row
from teachers.build import build_adapter
from teachers.config import ScriptedTeacher

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

    def run(filter, *fields, gold=(), tokenizer=None, teachers=None, source=None, **more):
        recipe = recipe_of(filter, **more)
        if source is not None:
            recipe._source = str(source / "recipe.yaml")
        chain = build_chain(recipe, gold=gold, tokenizer=tokenizer, teachers=teachers)
        rows = [Row(f"{at:03}", value) for at, value in enumerate(fields)]
        return asyncio.run(chain.sift(rows))

    return run


@pytest.fixture
def teachers():
    """Builds the teacher `big`, scripted, and counts what it is asked."""

    def build(*rules, **more):
        config = ScriptedTeacher(kind="scripted", script=list(rules), **more)
        return {"big": Counting(build_adapter(config, "big"))}

    return build


class Counting:
    """A teacher with the questions that it was asked."""

    def __init__(self, teacher):
        self.teacher, self.asked = teacher, []

    async def ask(self, ask):
        """Answers as the teacher does."""
        self.asked.append(ask)
        return await self.teacher.ask(ask)


@pytest.fixture
def reasons(sift):
    """Runs one filter and returns the reason of each row."""
    return lambda *args, **more: [row.reason for row in sift(*args, **more)]
