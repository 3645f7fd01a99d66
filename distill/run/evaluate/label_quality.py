"""How far the labels of the training rows can be trusted, as far as a run can tell by itself."""

from typing import Any

from distill.measure.intervals import proportion
from distill.measure.label_noise import label_errors, why_not
from distill.recipe.task import ClassifyTask
from distill.rows.dataset import read_dataset
from distill.run.context import Context

MOST_ROWS = 20_000
"""Rows that are looked at; a share needs no more."""


def label_quality(context: Context) -> dict[str, Any] | None:
    """`suspected`: the share of training labels that confident learning takes for wrong.

    None where the task has no labels, or too few rows to tell.
    """
    task = context.recipe.task
    if not isinstance(task, ClassifyTask) or context.directory.done("train") is None:
        return None
    rows = list(read_dataset(context.directory.dataset, "train"))[:MOST_ROWS]
    labels = [str(row.fields.get(task.output)) for row in rows]
    if (why := why_not(labels)) is not None:
        return {"suspected": {"value": None, "why": why}, "rows": []}
    texts = [str(row.fields.get(task.input) or "") for row in rows]
    found = label_errors([row.id for row in rows], texts, labels, seed=context.recipe.seed)
    return {
        "suspected": proportion(len(found), len(rows)).as_dict(),
        "rows": [
            {"id": e.id, "given": e.given, "suggested": e.suggested, "score": e.score}
            for e in found[:20]
        ],
    }
