"""Strategies as fields: `distill check --expanded` prints what this makes."""

from collections.abc import Mapping
from typing import Any

from distill.errors import Problem, RecipeError
from distill.recipe.defaults import (
    SELF_INSTRUCT_CLASSIFY,
    SELF_INSTRUCT_INPUT,
    STUDENT_PROMPTS,
    TEACHER_PROMPTS,
)
from distill.recipe.files import text_of
from distill.recipe.generation import AskField, FieldSpec, SampleField
from distill.recipe.given import with_given_rows
from distill.recipe.schema import Recipe
from distill.recipe.task import ClassifyTask, ExtractTask
from distill.recipe.templates import Template, as_json, as_literal

EXAMPLES = 4
"""Seeds and accepted rows shown in a self_instruct prompt; fewer where there are fewer."""

Fields = dict[str, FieldSpec]


def expand(recipe: Recipe) -> Recipe:
    """The recipe with its strategy written out as fields; the same again when called twice.

    Strategies without an expansion, and recipes that `check` refuses, come back unchanged.

    Raises: RecipeError when a template cannot name the task's fields, or a file is missing.
    """
    recipe = with_given_rows(recipe)
    generate = recipe.generate
    if generate is None or generate.ask is None:
        return recipe
    if generate.strategy not in ("label_pool", "self_instruct"):
        return recipe
    if recipe.task.kind not in TEACHER_PROMPTS:
        return recipe
    _usable_names(recipe)
    make = _label_pool if generate.strategy == "label_pool" else _self_instruct
    fields = _merged(make(recipe, generate.ask), generate.fields)
    return recipe.model_copy(update={"generate": generate.model_copy(update={"fields": fields})})


def _label_pool(recipe: Recipe, ask: str) -> Mapping[str, FieldSpec | None]:
    # The input's place is held for a field of the user's that makes it.
    return {recipe.task.input: None, recipe.task.output: _answer(recipe, ask)}


def _self_instruct(recipe: Recipe, ask: str) -> Mapping[str, FieldSpec | None]:
    task = recipe.task
    examples = SampleField(sample="accepted", count=EXAMPLES)
    fields: dict[str, FieldSpec | None] = {"examples": examples}
    if isinstance(task, ClassifyTask):
        fields[task.output] = SampleField(sample="labels")
        prompt = _baked(recipe, SELF_INSTRUCT_CLASSIFY)
        fields[task.input] = AskField(ask=ask, prompt=prompt)
        fields["check"] = _answer(recipe, ask)
        return fields
    fields[task.input] = AskField(ask=ask, prompt=_baked(recipe, SELF_INSTRUCT_INPUT))
    fields[task.output] = _answer(recipe, ask)
    return fields


def _answer(recipe: Recipe, ask: str) -> AskField:
    """The ask for the task's output."""
    task = recipe.task
    if isinstance(task, ClassifyTask):
        prompt = _baked(recipe, TEACHER_PROMPTS["classify"])
        return AskField(ask=ask, prompt=prompt, choices="labels")
    if isinstance(task, ExtractTask):
        prompt = _baked(recipe, TEACHER_PROMPTS["extract"])
        return AskField(ask=ask, prompt=prompt, schema=task.schema_)
    text = text_of(recipe, task.prompt) if task.prompt else STUDENT_PROMPTS["generate"]
    return AskField(ask=ask, prompt=_baked(recipe, text))


def _merged(made: Mapping[str, FieldSpec | None], given: Mapping[str, FieldSpec]) -> Fields:
    """The strategy's fields with the user's: those of the same name replace ours in their place.

    The user's other fields keep their order; those written before one of ours stay before it.
    """
    before: dict[str, Fields] = {}
    waiting: Fields = {}
    for name, field in given.items():
        if name in made:
            before[name], waiting = waiting, {}
        else:
            waiting[name] = field
    merged: Fields = {}
    for name, ours in made.items():
        merged.update(before.get(name, {}))
        field_or_none = given.get(name, ours)
        if field_or_none is not None:
            merged[name] = field_or_none
    return {**merged, **waiting}


def _baked(recipe: Recipe, text: str) -> str:
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
    for ours, theirs in words.items():
        text = text.replace(ours, theirs)
    if task.input != "input" and "input" in Template(text, "task.prompt").names:
        return f"{{% set input = {task.input} %}}{text}"  # a prompt of the user's, in other words
    return text


def _usable_names(recipe: Recipe) -> None:
    for key in ("input", "output"):
        name = getattr(recipe.task, key)
        if not name.isidentifier():
            problem = Problem(
                found=f"a template cannot name the field {name!r}",
                file=recipe._source or None,
                line=recipe._lines.get(f"task.{key}"),
                key=f"task.{key}",
                allowed="letters, digits and underscores",
                fix="Rename the column.",
            )
            raise RecipeError(str(problem), [problem])


def plain_fields(recipe: Recipe) -> dict[str, Any]:
    """The fields of an expanded recipe as the YAML would write them."""
    fields = recipe.generate.fields if recipe.generate else {}
    return {
        name: field.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        for name, field in fields.items()
    }
