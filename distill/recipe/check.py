"""Everything that can be found wrong before anything is paid: `distill check`."""

from collections.abc import Mapping
from dataclasses import dataclass

from distill.errors import Problem, RecipeError
from distill.recipe.check_adapter import check_adapter
from distill.recipe.check_classifier import check_classifier
from distill.recipe.check_data import (
    ReadRecords,
    Tables,
    check_gold,
    check_pool,
    check_seeds,
    read_tables,
)
from distill.recipe.check_fields import check_fields
from distill.recipe.check_filters import check_filters, check_split
from distill.recipe.check_hidden import check_hidden
from distill.recipe.check_hosted import check_hosted
from distill.recipe.check_measures import check_measures
from distill.recipe.check_strategy import check_balance, check_probe, check_strategy
from distill.recipe.check_systems import check_systems
from distill.recipe.check_teachers import check_teachers
from distill.recipe.check_training import check_evaluate, check_train
from distill.recipe.check_trust import note_trust
from distill.recipe.check_verdict import check_verdict
from distill.recipe.expand import expand
from distill.recipe.findings import Findings, check_schema
from distill.recipe.given import with_given_rows
from distill.recipe.hosted import is_hosted
from distill.recipe.prompts import GIVEN, TaskPrompt
from distill.recipe.schema import Recipe
from distill.recipe.task import ExtractTask
from distill.recipe.templates import Template


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check found."""

    problems: list[Problem]
    """The recipe or its data is wrong: exit 2."""
    notes: list[str]
    """Worth knowing, nothing wrong."""
    missing_keys: list[Problem]
    """Environment variables and packages that teachers need and that are missing: exit 3."""


def check(
    recipe: Recipe, environ: Mapping[str, str], read: ReadRecords | None = None
) -> CheckReport:
    """Everything static that is wrong with a recipe, its files and its keys.

    Args:
        recipe: Expanded or not.
        environ: Names of the variables that are set; values are never shown.
        read: Reads a data file as (line, record) pairs: `distill.rows.readers.read_numbered`.
            Without it files must exist, but what they hold is not looked at; a note says so.
    """
    findings = Findings(recipe)
    _check_engine(recipe, findings)
    check_teachers(recipe, environ, findings)
    tables = read_tables(recipe, read, findings)
    final = _check_generation(recipe, tables, findings)
    prompt = _task_prompt(recipe, final, findings)
    check_gold(recipe, tables, prompt, findings)
    check_filters(recipe, final, findings)
    check_split(recipe, final, findings)
    check_train(recipe, findings)
    if is_hosted(recipe):
        check_hosted(recipe, environ, findings)
    check_adapter(recipe, findings)
    check_classifier(recipe, findings)
    check_verdict(recipe, findings)
    check_hidden(recipe, findings)
    check_evaluate(recipe, findings)
    check_measures(recipe, findings)
    check_systems(recipe, findings)
    note_trust(recipe, findings)
    return CheckReport(findings.in_order(), findings.notes, findings.missing_keys)


def _check_engine(recipe: Recipe, findings: Findings) -> None:
    address = recipe.run.address
    if address is None:
        return
    if recipe.run.engine == "local":
        findings.add("run.address", "an address is of use with `engine: ray` only", "engine: ray")
    elif "://" in address:
        found = f"{address!r} is one that a command outside the cluster would use"
        findings.add("run.address", found, "HOST:PORT or auto: the command runs on a node")


def _check_generation(recipe: Recipe, tables: Tables, findings: Findings) -> frozenset[str] | None:
    """The fields of a finished row, None where that cannot be known."""
    check_pool(recipe, tables, findings)
    check_seeds(recipe, tables, findings)
    generate = with_given_rows(recipe).generate
    if generate is None:
        return None
    check_strategy(recipe, findings)
    check_probe(recipe, findings)
    try:
        expanded = expand(recipe)
    except RecipeError as error:
        findings.add_error("generate.strategy", error)
        return None
    if generate.strategy is not None and expanded is recipe and not generate.fields:
        return None  # what it lacks was said
    check_balance(expanded, findings)
    return check_fields(expanded, tables, findings)


def _task_prompt(
    recipe: Recipe, final: frozenset[str] | None, findings: Findings
) -> TaskPrompt | None:
    """The task's prompt, checked against the fields of a finished row."""
    task = recipe.task
    if isinstance(task, ExtractTask):
        check_schema("task.schema", task.schema_, findings)
    try:
        prompt = TaskPrompt.from_recipe(recipe)
    except RecipeError as error:
        findings.add_error("task.prompt", error)
        return None
    completion = task.completion
    if completion is None and final is not None:
        completion = expand(recipe).task.completion
    needs = prompt.needs | _completion_needs(completion, findings)
    for name in sorted(needs - (final if final is not None else needs)):
        if name != task.input:
            findings.add(
                "task.prompt",
                f"the prompt names {name!r}, which no row has",
                ", ".join(sorted((final or frozenset()) | {"input", "labels", "schema"})),
            )
    return prompt


def _completion_needs(completion: str | None, findings: Findings) -> frozenset[str]:
    if completion is None:
        return frozenset()
    try:
        return Template(completion, "task.completion").names - GIVEN
    except RecipeError as error:
        findings.add_error("task.completion", error)
        return frozenset()
