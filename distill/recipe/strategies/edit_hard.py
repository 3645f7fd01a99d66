"""edit_hard: more of what an earlier student got wrong. Never gold: only rows that it may see."""

from distill.recipe.generation import AskField, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, answer, part_of
from distill.recipe.strategy_options import EditHardOptions

MORE_LIKE_IT = """\
A model was given this input:
{{ INPUT }}

It should have answered:
{{ EXPECTED | string }}

It answered:
{{ ANSWERED | string }}

Write one new input that is hard in the same way, about something else and in other words. Do not
answer it. Write the new input only."""


def edit_hard(recipe: Recipe, ask: str, options: EditHardOptions) -> Made:
    """A failure, a new input that is hard in the same way, and the teacher's output for it."""
    task = recipe.task
    text = MORE_LIKE_IT.replace("INPUT", part_of("failure", task.input))
    text = text.replace("EXPECTED", part_of("failure", task.output))
    text = text.replace("ANSWERED", part_of("failure", "answered"))
    return {
        "failure": SampleField(sample="failures", run=options.run, in_turn=True),
        task.input: AskField(ask=ask, prompt=text),
        task.output: answer(recipe, ask),
    }
