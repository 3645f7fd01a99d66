"""Collects what `check` finds, with the file and line of each key."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from distill.errors import DistillError, Problem
from distill.recipe.problems import line_of
from distill.recipe.schema import Recipe


@dataclass(slots=True)
class Findings:
    """The problems of one recipe so far."""

    recipe: Recipe
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing_keys: list[Problem] = field(default_factory=list)

    def problem(
        self, key: str, found: str, allowed: str | None = None, fix: str | None = None
    ) -> Problem:
        """A problem at a key of the recipe."""
        file = self.recipe._source or None
        return Problem(found, file, line_of(self.recipe._lines, key), key, allowed, fix)

    def add(self, key: str, found: str, allowed: str | None = None, fix: str | None = None) -> None:
        """Notes a problem at a key of the recipe."""
        self.problems.append(self.problem(key, found, allowed, fix))

    def add_error(self, key: str, error: DistillError) -> None:
        """Notes an error's problems; those without a file of their own are placed at `key`."""
        at = self.problem(key, "")
        for problem in error.problems:
            # A template's errors name its key where a file would stand.
            own = problem.file not in (None, at.file) and "/" in str(problem.file)
            file, line = (problem.file, problem.line) if own else (at.file, at.line)
            self.problems.append(replace(problem, file=file, line=line, key=problem.key or key))

    def in_order(self) -> list[Problem]:
        """Every problem once, in the order of the file."""
        once: Iterable[Problem] = dict.fromkeys(self.problems)
        ours = [problem for problem in once if self._of_strategy(problem)]
        # What is wrong with a strategy's own fields follows from something said elsewhere, if any.
        kept = [problem for problem in once if problem not in ours] or ours
        return sorted(kept, key=lambda problem: problem.line or 0)

    def _of_strategy(self, problem: Problem) -> bool:
        generate, parts = self.recipe.generate, (problem.key or "").split(".")
        if generate is None or generate.strategy is None or parts[:2] != ["generate", "fields"]:
            return False
        return ".".join(parts[:3]) not in self.recipe._lines and problem.file != "--set"


def check_schema(key: str, schema: dict[str, Any], findings: Findings) -> None:
    """Notes a JSON Schema that is none."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        findings.add(key, f"not a JSON Schema: {error.json_path}: {error.message}"[:300])
