"""A teacher with deterministic answers, and recipes on real files."""

import asyncio
import json
import random
from collections import Counter

import pytest

from distill.generate.stage import run_generate
from distill.progress import silent
from distill.recipe.schema import Recipe
from distill.rows.row import Row, digest
from teachers.errors import TeacherError
from teachers.protocol import Answer, Usage


class Scribe:
    """A teacher that answers each ask from its own text, after a random while."""

    name = "t"

    def __init__(self, answer=None, pace=0.0, seed=None):
        self.answer = answer or (lambda ask: f"answer {digest(key_of(ask))[:8]}")
        self.pace, self.random = pace, random.Random(seed)
        self.asks = []
        self.running = self.most = self.cancelled = 0

    async def ask(self, ask):
        self.asks.append(ask)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.random.random() * self.pace)
            answer = self.answer(ask)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Answer):
            return answer
        return Answer(answer, "stop", Usage(1, 1), "scribe")

    async def close(self):
        return None


def key_of(ask):
    """What tells one ask from another."""
    return [ask.messages[-1].content, ask.sample, list(ask.choices or ())]


def chooses(ask, right=0.9):
    """Picks a choice by the hash of the ask; fails where the hash says so."""
    number = int(digest(key_of(ask))[:8], 16)
    if ask.choices is None:
        return f"text {number} {'filler ' * (number % 7)}"
    return ask.choices[number % len(ask.choices)]


def fails_some(ask):
    """Like chooses, but every eleventh ask fails."""
    if int(digest(key_of(ask))[:6], 16) % 11 == 0:
        return TeacherError("content_filter", "refused by the server")
    return chooses(ask)


@pytest.fixture
def make_recipe(tmp_path):
    """Builds a recipe in a folder with the given files."""

    def build(fields, *, files=None, **more):
        for name, content in (files or {}).items():
            if not isinstance(content, str):
                content = "".join(json.dumps(row) + "\n" for row in content)
            (tmp_path / name).write_text(content, encoding="utf-8")
        generate = {"fields": fields} | {
            key: more.pop(key)
            for key in ("accept", "candidates", "max_failed", "strategy", "balance")
            if key in more
        }
        plain = {
            "name": "t",
            "seed": 7,
            "task": {"kind": "classify", "labels": ["a", "b", "c"]},
            "teachers": {"t": {"kind": "scripted", "concurrency": 4}},
            "generate": generate,
        }
        recipe = Recipe.model_validate(plain | more)
        recipe._source = str(tmp_path / "recipe.yaml")
        return recipe

    return build


@pytest.fixture
def generate():
    """Runs the stage."""

    def run(recipe, teacher=None, sift=None, listen=silent, **more):
        teachers = {"t": teacher} if teacher else {}
        return asyncio.run(run_generate(recipe, teachers, sift, listen, **more))

    return run


def keep_if(keeps, reason="dull"):
    """A sift that keeps rows whose fields please."""

    async def sift(rows):
        assert [row.id for row in rows] == sorted(row.id for row in rows)
        return [
            row if keeps(row.fields) else Row(row.id, row.fields, "rejected", reason)
            for row in rows
        ]

    return sift


@pytest.fixture
def tools():
    """The helpers of this file for tests (test folders are no packages)."""

    class Tools:
        Scribe, chooses, fails_some, keep_if, Counter = (
            Scribe, staticmethod(chooses), staticmethod(fails_some), staticmethod(keep_if), Counter,
        )  # fmt: skip

    return Tools
