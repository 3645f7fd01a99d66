"""rationale: the teacher reasons before it answers; the student learns both, or the answer."""

from distill.recipe.generation import AskField, RenderField
from distill.recipe.schema import Recipe
from distill.recipe.strategies.parts import Made, inputs, number, question
from distill.recipe.strategy_options import RationaleOptions
from distill.recipe.task import ClassifyTask, ExtractTask

MARK = "Answer:"
SAID = rf"(?s).*{MARK}(.*)"
"""What stands behind the last mark."""
REASON = """

Think step by step first. Then write a last line: `Answer: ` and the answer, nothing after it."""


def rationale(recipe: Recipe, ask: str, options: RationaleOptions) -> Made:
    """The reasoning with its answer, the two taken apart, and whether the answer can be used."""
    task = recipe.task
    said = "(worked.split('Answer:') | last).strip()"
    output = RenderField(render=f"{{{{ {said} }}}}")
    usable = f"'{MARK}' in worked"
    if isinstance(task, ClassifyTask):
        output = output.model_copy(update={"keep": list(task.labels)})
    if isinstance(task, ExtractTask):
        output = number(f"{{{{ {said} }}}}")
    if options.reference:
        # The number of "#### 42", and "42." for "42": how answers end differs, what they are not.
        clean = ".split('####') | last).strip(' .$\n').replace(',', '') | lower"
        usable += f" and ({said}{clean} == (({options.reference} | string){clean}"
    return {
        **inputs(recipe, ask),
        "worked": AskField(ask=ask, prompt=question(recipe) + REASON),
        "usable": RenderField(render=f"{{{{ 'yes' if {usable} else 'no' }}}}", keep=["yes"]),
        "rationale": RenderField(render="{{ worked.rsplit('Answer:', 1)[0].strip() }}"),
        task.output: output,
    }


def rationale_completion(recipe: Recipe, options: RationaleOptions) -> str | None:
    """What the student learns to write."""
    if options.student == "drop":
        return None
    form = " | json" if isinstance(recipe.task, ExtractTask) else ""
    return f"{{{{ rationale }}}}\n{MARK} {{{{ {recipe.task.output}{form} }}}}"
