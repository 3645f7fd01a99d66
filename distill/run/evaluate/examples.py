"""Which rows serve as examples in prompts: what people approved, else seeds, else train."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from distill.evaluate.ladder import choose_examples
from distill.measure.duplicates import normalise
from distill.recipe.files import locate
from distill.recipe.prompts import TaskPrompt, student_prompt
from distill.recipe.task import labels_of
from distill.rows.dataset import read_dataset
from distill.rows.identity import row_ids
from distill.rows.readers import read_records
from distill.rows.stages import read_stage
from distill.run.context import Context
from distill.run.rows.steps import gold_records

Candidates = Sequence[tuple[str, Mapping[str, Any]]]
Source = Literal["review", "seeds", "train"]


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows for prompts, and where they are from."""

    source: Source
    rows: Candidates

    def as_dict(self) -> dict[str, Any]:
        """What the report says of them."""
        return {"source": self.source, "ids": [name for name, _ in self.rows]}


def examples_of(context: Context, count: int) -> Examples:
    """As many rows as the longest prompt shows, the labels level; never one of gold or val.

    The first source that has any usable row is taken alone, so that the report can name it.
    """
    recipe = context.recipe
    prompt, held = student_prompt(recipe), held_out(context)
    label = recipe.task.output if labels_of(recipe.task) is not None else None
    found: Examples | None = None
    for source, candidates in _sources(context):
        kept = [one for one in candidates if usable(prompt, one[1], held)]
        found = Examples(
            source,
            choose_examples(
                kept, lambda row: str(row[label]) if label else None, count, recipe.seed
            ),
        )
        if found.rows:
            return found
    return found or Examples("train", [])


def held_out(context: Context) -> frozenset[str]:
    """The inputs of gold and val, without what does not count."""
    name = context.recipe.task.input
    rows: list[Mapping[str, Any]] = list(gold_records(context))
    if (context.directory.dataset / "val.jsonl").is_file():
        rows += [row.fields for row in read_dataset(context.directory.dataset, "val")]
    return frozenset(normalise(str(row[name])) for row in rows if name in row)


def usable(prompt: TaskPrompt, row: Mapping[str, Any], held: frozenset[str]) -> bool:
    """Whether a row can be shown whole, and is no held-out one."""
    task = prompt.task
    whole = prompt.needs <= row.keys() and row.get(task.output) is not None
    return whole and prompt.completes(row) and normalise(str(row.get(task.input))) not in held


def _sources(context: Context) -> list[tuple[Source, Candidates]]:
    """The sources that there are, best first."""
    found: list[tuple[Source, Candidates]] = []
    if context.directory.done("review"):
        rows = read_stage(context.directory.stage("review"))
        kept = [row for row in rows if row.status == "accepted"]
        approved = [
            (row.id, row.fields)
            for row in kept
            if any(said.by == "review" and said.keep for said in row.verdicts)
        ]
        found.append(("review", approved))
    if context.recipe.data.seeds is not None:
        records = read_records(locate(context.recipe, context.recipe.data.seeds))
        found.append(("seeds", list(zip(row_ids(records), records, strict=True))))
    train = read_dataset(context.directory.dataset, "train")
    found.append(("train", [(row.id, row.fields) for row in train]))
    return found
