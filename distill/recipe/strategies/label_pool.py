"""label_pool: a teacher answers what stands in a pool."""

from distill.recipe.schema import Recipe
from distill.recipe.strategies.judge_data import verdicts
from distill.recipe.strategies.parts import Made, answer
from distill.recipe.strategy_options import LabelPoolOptions
from distill.recipe.task import JudgeAbsoluteTask, JudgePairwiseTask


def label_pool(recipe: Recipe, ask: str, options: LabelPoolOptions) -> Made:
    """The ask for the output; the input's place is held for a field of the user's that makes it."""
    task = recipe.task
    if isinstance(task, JudgeAbsoluteTask | JudgePairwiseTask):
        return {task.input: None, **verdicts(recipe, ask)}
    return {task.input: None, task.output: answer(recipe, ask)}
