"""self_instruct: new rows grown from seeds and from earlier accepted rows."""

from distill.recipe.defaults import SELF_INSTRUCT_CLASSIFY, SELF_INSTRUCT_INPUT
from distill.recipe.generation import AskField, FieldSpec, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, answer, baked
from distill.recipe.strategy_options import SelfInstructOptions
from distill.recipe.task import ClassifyTask


def self_instruct(recipe: Recipe, ask: str, options: SelfInstructOptions) -> Made:
    """Examples, a new input and its output.

    Of a classify task a drawn label, a text of that label, and `check`, the label that the teacher
    gives the text.
    """
    task = recipe.task
    fields: dict[str, FieldSpec | None] = {
        "examples": SampleField(sample="accepted", count=options.examples)
    }
    if isinstance(task, ClassifyTask):
        fields[task.output] = SampleField(sample="labels")
        fields[task.input] = AskField(ask=ask, prompt=baked(recipe, SELF_INSTRUCT_CLASSIFY))
        fields["check"] = answer(recipe, ask)
        return fields
    fields[task.input] = AskField(ask=ask, prompt=baked(recipe, SELF_INSTRUCT_INPUT))
    fields[task.output] = answer(recipe, ask)
    return fields
