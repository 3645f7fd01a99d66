"""Fields and templates that several strategies are put together from."""

from collections.abc import Mapping

from distill.recipe.defaults import SELF_INSTRUCT_INPUT, STUDENT_PROMPTS, TEACHER_PROMPTS
from distill.recipe.files import text_of
from distill.recipe.generation import AskField, FieldSpec, RenderField, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.task import (
    ClassifyTask,
    ExtractTask,
    GenerateTask,
    GroundedTask,
    JudgeAbsoluteTask,
    JudgePairwiseTask,
    labels_of,
)
from distill.recipe.templates import Template, as_json, as_literal

Made = Mapping[str, FieldSpec | None]
"""Fields in order; None holds a place for a field of the user's, or for a column of the pool."""

EXAMPLES = 4
ORDERS = ["A", "B", "TIE"]
"""What a judge of two answers may say: the one shown first, the second, or neither."""
REWARD_SCALE = [str(score) for score in range(1, 6)]


def answer(recipe: Recipe, ask: str) -> AskField:
    """The ask for the task's output."""
    task = recipe.task
    if isinstance(task, GenerateTask | GroundedTask) and task.prompt:
        return AskField(ask=ask, prompt=baked(recipe, text_of(recipe, task.prompt)))
    prompt = baked(recipe, TEACHER_PROMPTS[task.kind])
    if isinstance(task, ClassifyTask):
        return AskField(ask=ask, prompt=prompt, choices="labels")
    if isinstance(task, ExtractTask):
        return AskField(ask=ask, prompt=prompt, schema=task.schema_)
    if isinstance(task, JudgeAbsoluteTask):
        return AskField(ask=ask, prompt=prompt, choices="labels")
    if isinstance(task, JudgePairwiseTask):
        return AskField(ask=ask, prompt=prompt, choices=ORDERS)
    return AskField(ask=ask, prompt=prompt)


def inputs(recipe: Recipe, ask: str) -> Made:
    """Where a strategy's inputs come from: the pool, else new ones grown from the seeds."""
    task = recipe.task
    if recipe.data.pool is not None or recipe.data.seeds is None:
        return {task.input: None}
    return {
        "examples": SampleField(sample="accepted", count=EXAMPLES),
        task.input: AskField(ask=ask, prompt=baked(recipe, SELF_INSTRUCT_INPUT)),
    }


def source(recipe: Recipe) -> SampleField:
    """One seed, or one row of the pool, each once before any comes again."""
    return SampleField(sample="seeds" if recipe.data.seeds else "pool", in_turn=True)


def part_of(field: str, name: str) -> str:
    """The expression for a part of a field, whatever its name."""
    return f"{field}[{as_json(name)}]"


def question(recipe: Recipe) -> str:
    """The template of what a teacher answers freely: the task's own prompt, else the input."""
    task = recipe.task
    own = task.prompt if isinstance(task, GenerateTask | GroundedTask) else None
    text = text_of(recipe, own) if own else STUDENT_PROMPTS.get(task.kind, "{{ input }}")
    return baked(recipe, text)


def number(value: str) -> RenderField:
    """A rendered JSON value."""
    return RenderField(render=value, parse="json")


def ending(value: str) -> str:
    """The expression for what an answer comes to: "42" for "... #### 42", "42." and "$42"."""
    return f"(((({value}) | string).split('####') | last).strip(' .$\\n').replace(',', '') | lower)"


def baked(recipe: Recipe, text: str) -> str:
    """A default template as an ordinary field's prompt, which can name fields of the row only."""
    task = recipe.task
    words = {
        "{{ input }}": f"{{{{ {task.input} }}}}",
        "{{ label }}": f"{{{{ {task.output} }}}}",
        "[input_name]": f"[{as_json(task.input)}]",
        "[output_name]": f"[{as_json(task.output)}]",
    }
    # Labels and schema last: what they hold is not ours to replace.
    if isinstance(task, ClassifyTask):
        words["{{ labels | join(', ') }}"] = as_literal(", ".join(task.labels))
    if isinstance(task, ExtractTask):
        words["{{ schema | json }}"] = as_literal(as_json(task.schema_))
    if isinstance(task, GroundedTask):
        words["{{ abstain }}"] = as_literal(task.abstain)
    if isinstance(task, JudgeAbsoluteTask):
        words["{{ scale | join(', ') }}"] = as_literal(", ".join(labels_of(task) or ()))
    for ours, theirs in words.items():
        text = text.replace(ours, theirs)
    names = Template(text, "task.prompt").names
    if isinstance(task, JudgeAbsoluteTask | JudgePairwiseTask):
        # What a row to be judged may lack: templates name nothing that is not there.
        lacking = sorted(MAY_LACK & names)
        text = "".join(f"{{% set {name} = row.get('{name}') %}}" for name in lacking) + text
    if isinstance(task, GroundedTask) and task.passages != "passages" and "passages" in names:
        text = f"{{% set passages = {task.passages} %}}{text}"
    if task.input != "input" and "input" in names:
        return f"{{% set input = {task.input} %}}{text}"  # a prompt of the user's, in other words
    return text


MAY_LACK = frozenset({"rubric", "reference", "context"})
