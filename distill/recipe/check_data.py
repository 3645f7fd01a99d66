"""Checks what the data files hold: gold, pool and seeds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, RecipeError
from distill.recipe.files import locate
from distill.recipe.findings import Findings
from distill.recipe.given import learns_given_rows
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.recipe.suggest import did_you_mean
from distill.recipe.task import (
    ClassifyTask,
    JudgeAbsoluteTask,
    JudgePairwiseTask,
    Scale,
    Task,
    labels_of,
)
from distill.recipe.wording import found_words

Records = Sequence[tuple[int | None, Mapping[str, Any]]]
ReadRecords = Callable[[Path], Records]
"""A data file as (line, record) pairs; the line is None where the format has no lines."""

EXAMPLES = 3
"""Rows named in one problem."""


@dataclass(frozen=True, slots=True)
class Table:
    """A data file that was read."""

    path: Path
    records: Records

    @property
    def columns(self) -> frozenset[str]:
        """The columns that every record has."""
        return frozenset.intersection(*(frozenset(record) for _, record in self.records))

    def where(self, index: int) -> str:
        """The place of a record, for messages."""
        line = self.records[index][0]
        return f"line {line}" if line is not None else f"row {index + 1}"


@dataclass(frozen=True, slots=True)
class Tables:
    """The data files that could be read; None where there is none or it could not be read."""

    pool: Table | None = None
    gold: Table | None = None
    seeds: Table | None = None


def read_tables(recipe: Recipe, read: ReadRecords | None, findings: Findings) -> Tables:
    """Reads the data files that the recipe names; notes those that are missing or broken."""
    found: dict[str, Table] = {}
    unread = []
    for name in ("pool", "gold", "seeds", "documents"):
        ref = getattr(recipe.data, name)
        if ref is None:
            continue
        key = f"data.{name}"
        try:
            path = locate(recipe, ref)
        except RecipeError as error:
            findings.add_error(key, error)
            continue
        if name == "documents":
            continue
        if read is None:
            unread.append(name)
            continue
        try:
            found[name] = Table(path, read(path))
        except DataError as error:
            findings.add_error(key, error)
    if unread:
        findings.notes.append(f"not looked into: {', '.join(unread)}")
    return Tables(**{name: table for name, table in found.items() if table.records})


def check_pool(recipe: Recipe, tables: Tables, findings: Findings) -> None:
    """Notes a pool without the task's input, where no field makes it."""
    pool, name = tables.pool, recipe.task.input
    if recipe.generate is not None and recipe.generate.strategy == "judge_data":
        name = "instruction"  # what is judged is written to order
    made = recipe.generate.fields if recipe.generate else {}
    if pool is not None and name not in made and not learns_given_rows(recipe):
        _require(pool, "data.pool", name, "task.input", findings)


def check_seeds(recipe: Recipe, tables: Tables, findings: Findings) -> None:
    """Notes seeds without the task's input, where a strategy shows it."""
    generate, task = recipe.generate, recipe.task
    if tables.seeds is None or generate is None or generate.strategy is None:
        return
    grown = recipe.data.pool is None and generate.strategy not in ("from_documents", "edit_hard")
    drawn = generate.strategy in ("self_instruct", "evolve", "paraphrase")
    if (grown or drawn) and task.input not in generate.fields:
        shown = "instruction" if generate.strategy == "judge_data" else task.input
        _require(tables.seeds, "data.seeds", shown, "task.input", findings)
    keeps = getattr(generate.options, "answer", None) != "ask"
    if generate.strategy == "paraphrase" and keeps and task.output not in generate.fields:
        _require(tables.seeds, "data.seeds", task.output, "task.output", findings)


def check_gold(
    recipe: Recipe, tables: Tables, prompt: TaskPrompt | None, findings: Findings
) -> None:
    """Notes gold without the columns that are needed, or with labels outside the task's."""
    gold, task = tables.gold, recipe.task
    if gold is None:
        return
    wanted = {task.input: "task.input", task.output: "task.output"}
    for name in sorted(prompt.needs if prompt else ()):
        wanted.setdefault(name, "a name in the task's prompt")
    for name, why in wanted.items():
        _require(gold, "data.gold", name, why, findings)
    labels = labels_of(task)
    if labels is not None and task.output in gold.columns:
        _labels(gold, task, labels, findings)
    if recipe.evaluate is None or not recipe.evaluate.suggested_gold:
        _suggested(gold, findings)


def _require(table: Table, key: str, name: str, why: str, findings: Findings) -> None:
    """Notes a column that is missing, everywhere or in some records."""
    if name in table.columns:
        return
    lacking = [at for at, (_, record) in enumerate(table.records) if name not in record]
    if len(lacking) == len(table.records):
        known = list(dict.fromkeys(column for _, record in table.records for column in record))
        found, allowed = f"no column {name!r} ({why})", ", ".join(known)
        fix = did_you_mean(name, known) or f"Rename a column, or set {why} to one of them."
        if not why.startswith("task."):
            fix = did_you_mean(name, known) or "Add the column, or mend the prompt."
    else:
        found = f"{name!r} ({why}) is missing in {_places(table, lacking)}"
        allowed, fix = None, "Give every row this field."
    _add(table, key, found, lacking[0], allowed, fix, findings)


def _labels(gold: Table, task: Task, labels: Sequence[str], findings: Findings) -> None:
    """Notes gold labels and verdicts that the task does not have."""
    values = [record[task.output] for _, record in gold.records]
    outside = [at for at, value in enumerate(values) if not _known(task, value, labels)]
    if not outside:
        return
    of = "task.labels" if isinstance(task, ClassifyTask) else "task.scale"
    shown = "; ".join(f"{found_words(values[at])} on {gold.where(at)}" for at in outside[:EXAMPLES])
    more = f" and {len(outside) - EXAMPLES} more rows" if len(outside) > EXAMPLES else ""
    _add(
        gold,
        "data.gold",
        f"labels outside {of}: {shown}{more}",
        outside[0],
        ", ".join(labels),
        did_you_mean(str(values[outside[0]]), labels)
        or f"Mend the rows, or add the label to {of}.",
        findings,
    )


def _known(task: Task, value: Any, labels: Sequence[str]) -> bool:
    """Whether a gold value can be compared with; a row without a verdict is left out later.

    People's score may be a mean, and PandaLM's files write winners as 1, 2 and 0.
    """
    if isinstance(task, ClassifyTask):
        return value in labels
    word = "" if value is None else str(value).strip().casefold()
    if not word or word in {label.casefold() for label in labels}:
        return True
    try:
        number = float(word)
    except ValueError:
        return isinstance(task, JudgePairwiseTask) and word == "tie"
    if isinstance(task, JudgeAbsoluteTask) and isinstance(task.scale, Scale):
        return task.scale.min <= number <= task.scale.max
    return isinstance(task, JudgePairwiseTask) and number in (0, 1, 2)


def _suggested(gold: Table, findings: Findings) -> None:
    """Notes gold by reviewers who saw a model's answer: they agree with it more than they would."""
    rows = [
        at
        for at, (_, record) in enumerate(gold.records)
        if str(record.get("saw_suggestion", "")).strip().casefold() in ("true", "1")
    ]
    if rows:
        found = f"reviewers saw the model's answer in {_places(gold, rows)}"
        fix = "Label them blind: distill review export RUN --kind gold. To take them all the same, "
        fix += "set evaluate.suggested_gold: true."
        _add(gold, "data.gold", found, rows[0], None, fix, findings)


def _places(table: Table, rows: Iterable[int]) -> str:
    rows = list(rows)
    shown = ", ".join(table.where(at) for at in rows[:EXAMPLES])
    return f"{shown} and {len(rows) - EXAMPLES} more" if len(rows) > EXAMPLES else shown


def _add(
    table: Table,
    key: str,
    found: str,
    at: int,
    allowed: str | None,
    fix: str | None,
    findings: Findings,
) -> None:
    line = table.records[at][0]
    findings.problems.append(Problem(found, str(table.path), line, key, allowed, fix))
