"""context_distillation: a long prompt for the teacher, a short one or none for the student."""

from distill.recipe.files import text_of
from distill.recipe.generation import AskField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, answer, inputs
from distill.recipe.strategy_options import ContextDistillationOptions


def context_distillation(recipe: Recipe, ask: str, options: ContextDistillationOptions) -> Made:
    """The inputs, and the output asked with the long prompt before the teacher's usual one.

    A long prompt that names the input is the whole prompt.
    """
    long = text_of(recipe, options.context)
    asked = answer(recipe, ask)
    own = f"{{{{ {recipe.task.input} }}}}" in long
    prompt = long if own else f"{long.rstrip()}\n\n{asked.prompt}"
    output: AskField = asked.model_copy(update={"prompt": prompt})
    return {**inputs(recipe, ask), recipe.task.output: output}
