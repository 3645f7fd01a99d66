"""Marks the answers that hold text of the training rows, or of the examples in the prompt."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from distill.evaluate.stage import SystemResult
from distill.evaluate.verbatim import Reuse, reused
from distill.recipe.prompts import TaskPrompt
from distill.recipe.task import ExtractTask, GenerateTask, GroundedTask
from distill.rows.dataset import read_dataset
from distill.run.context import Context

WRITING = (ExtractTask, GenerateTask, GroundedTask)
"""Tasks whose answers are texts; labels and verdicts are shorter than what is looked for."""


def with_reuse(
    context: Context, results: Mapping[str, Sequence[SystemResult]]
) -> dict[str, list[SystemResult]]:
    """Results that know which answers reuse text, where the task is one of writing.

    A training row is its input and what is written to it: the prompt around them is everybody's.
    """
    recipe = context.recipe
    if not isinstance(recipe.task, WRITING):
        return {name: list(found) for name, found in results.items()}
    prompt = TaskPrompt.from_recipe(recipe)
    texts = []
    for row in read_dataset(context.directory.dataset, "train"):
        if row.text is not None or not prompt.completes(row.fields):
            continue
        texts += [str(row.fields.get(recipe.task.input, "")), prompt.completion(row.fields)]
    trained = Reuse(texts)
    return {name: [_marked(result, trained) for result in found] for name, found in results.items()}


def _marked(result: SystemResult, trained: Reuse) -> SystemResult:
    if result.answers is None:
        return result
    said = [answer.text for answer in result.answers]
    return replace(result, reused=reused(said, trained, result.examples))
