"""Proposals: id, base values and sample numbers of each candidate, before anybody is asked.

All of it follows from the recipe, its files and the accepted rows of earlier rounds, never from
timing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import DataError, Problem
from distill.generate.balance import Balance
from distill.generate.sampling import Sampler
from distill.generate.sources import Sources
from distill.generate.steps import Step, build_steps, wrong
from distill.recipe.files import locate
from distill.recipe.generation import Generate, SampleField, draws_rows
from distill.recipe.given import learns_given_rows
from distill.recipe.schema import Recipe
from distill.rows.corpus import read_corpus
from distill.rows.row import Row, digest, row_id


@dataclass(frozen=True, slots=True)
class Proposal:
    """One candidate to be filled."""

    id: str
    columns: Mapping[str, Any]
    """Of the pool row, without those that a field makes anew."""
    drawn: Mapping[str, Mapping[str, Any]]
    """Sampled field -> its value and what is recorded beside it."""
    replicas: Mapping[str, int]
    """Freely written field -> how many earlier candidates ask for it from the same base values."""


class Proposer:
    """Proposes the candidates of one run, in order."""

    def __init__(self, recipe: Recipe) -> None:
        generate = recipe.generate or Generate()
        self._recipe = recipe
        self._strategy = generate.strategy or "fields"
        self.sources = Sources(recipe)
        self._sampler = Sampler(recipe, self.sources)
        pooled = recipe.data.pool is not None and not draws_rows(generate)
        self._pool = self.sources.pool if pooled else None
        if self._pool is None and learns_given_rows(recipe):
            assert recipe.data.documents is not None
            self._pool = read_corpus(locate(recipe, recipe.data.documents))
        columns = {name: None for row in self._pool or () for name in row}
        self.steps: Sequence[Step] = build_steps(recipe, columns)
        self._made = tuple(generate.fields)
        self._sampled = tuple(
            name for name, spec in generate.fields.items() if isinstance(spec, SampleField)
        )
        self._proposed = 0
        self._copies: Counter[str] = Counter()
        self._repeats: Counter[str] = Counter()
        self.ceiling = _ceiling(recipe, generate, self._pool)
        """Most candidates there can be."""
        self.balance = Balance(recipe, self._sampler.values_of)
        """Which cells are short."""

    @property
    def left(self) -> int:
        """How many candidates may still be proposed."""
        return self.ceiling - self._proposed

    @property
    def grows(self) -> bool:
        """Whether later candidates are drawn from accepted rows."""
        return self._sampler.grows

    def grow(self, rows: Sequence[Row]) -> None:
        """Tells which rows of the last round were accepted."""
        self._sampler.grow(rows)
        self.balance.accept(rows)

    def propose(self, count: int) -> list[Proposal]:
        """Returns the next candidates, at most `count`."""
        return [self._next() for _ in range(min(count, self.left))]

    def _next(self) -> Proposal:
        columns: dict[str, Any] = {}
        if self._pool is None:
            id = row_id(self._recipe.seed, self._strategy, (), self._proposed)
        else:
            row = self._pool[self._proposed]
            parent = _pool_digest(row, self._recipe, self._proposed)
            id = row_id(self._recipe.seed, self._strategy, (parent,), self._copies[parent])
            self._copies[parent] += 1
            # A column that a field makes anew (a label to be asked for) must not reach a prompt.
            columns = {name: value for name, value in row.items() if name not in self._made}
        ordinal = self._proposed
        self._proposed += 1
        base = dict(columns)
        drawn: dict[str, dict[str, Any]] = {}
        short = self.balance.next_cell()
        for name in self._sampled:
            if name in short:
                drawn[name] = {name: short[name]}
            else:
                drawn[name] = self._sampler.draw(id, name, base, ordinal)
            base |= drawn[name]
        replicas = {step.name: self._repeat(step, base) for step in self.steps if step.repeats}
        return Proposal(id, columns, drawn, replicas)

    def _repeat(self, step: Step, base: Mapping[str, Any]) -> int:
        key = digest([step.name, {name: base.get(name) for name in step.depends}])
        self._repeats[key] += 1
        return self._repeats[key] - 1


def _ceiling(recipe: Recipe, generate: Generate, pool: Sequence[Any] | None) -> int:
    ceiling = generate.candidates
    if ceiling is None and generate.accept is not None:
        ceiling = 4 * generate.accept
    if pool is not None:
        return len(pool) if ceiling is None else min(ceiling, len(pool))
    if ceiling is None:
        raise wrong(
            recipe, "generate", "neither a pool nor how many rows are wanted",
            fix="Set generate.accept, generate.candidates or data.pool.",
        )  # fmt: skip
    return ceiling


def _pool_digest(row: Mapping[str, Any], recipe: Recipe, at: int) -> str:
    try:
        return digest(row)
    except (TypeError, ValueError) as error:
        problem = Problem(
            f"row {at + 1} holds a value that is not JSON: {error}",
            recipe.data.pool,
            key="data.pool",
        )
        raise DataError(str(problem), [problem]) from error
