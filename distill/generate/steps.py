"""The fields of a recipe in order, each with its template and the base values it depends on."""

from collections.abc import Iterable
from dataclasses import dataclass

from distill.errors import Problem, RecipeError
from distill.recipe.files import text_of
from distill.recipe.generation import AskField, Generate, PythonField, RenderField, SampleField
from distill.recipe.schema import Recipe
from distill.recipe.task import JudgeAbsoluteTask, Scale, Task
from distill.recipe.templates import Template

COMPANIONS = ("_id", "_votes", "_p", "_finish")
"""What may follow a field's name: values that are recorded beside it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One field and how its value comes to be."""

    name: str
    spec: SampleField | RenderField | AskField
    template: Template | None
    """Of a render or ask field."""
    depends: frozenset[str]
    """Base values (pool columns and sampled fields) that decide the value, through any chain."""

    @property
    def repeats(self) -> bool:
        """Whether equal prompts must get different answers: a teacher writes freely."""
        return isinstance(self.spec, AskField) and not (self.spec.choices or self.spec.schema_)


def build_steps(recipe: Recipe, columns: Iterable[str]) -> list[Step]:
    """Returns the recipe's fields as steps, in the order of the recipe.

    Args:
        recipe: Expanded.
        columns: Of the pool, where rows come from one.
    """
    generate = recipe.generate or Generate()
    known = {name: frozenset((name,)) for name in columns if name not in generate.fields}
    steps = []
    for name, spec in generate.fields.items():
        if isinstance(spec, PythonField):
            raise wrong(
                recipe, f"generate.fields.{name}", "fields made by `python` are not built yet"
            )
        template = None
        depends = frozenset((name,))
        if not isinstance(spec, SampleField):
            source = spec.render if isinstance(spec, RenderField) else spec.prompt
            template = Template(text_of(recipe, source), f"generate.fields.{name}")
            depends = frozenset().union(*(known.get(used, frozenset()) for used in template.names))
        known.update((name + suffix, depends) for suffix in ("", *COMPANIONS))
        steps.append(Step(name, spec, template, depends))
    return steps


def labels_of(task: Task) -> list[str] | None:
    """Returns the closed list of outputs of a task, or None where it has none."""
    scale = getattr(task, "scale", None)
    if isinstance(task, JudgeAbsoluteTask) and isinstance(scale, Scale):
        return [str(score) for score in range(scale.min, scale.max + 1)]
    labels: list[str] | None = getattr(task, "labels", None) or scale
    return labels


def choices_of(recipe: Recipe, name: str, spec: AskField) -> tuple[str, ...] | None:
    """Returns the answers that a field allows, or None where it allows any.

    Raises: RecipeError when it names the labels of a task that has none.
    """
    if spec.choices is None or isinstance(spec.choices, list):
        return tuple(spec.choices) if spec.choices else None
    labels = labels_of(recipe.task) if spec.choices in ("label", "labels") else None
    if not labels:
        raise wrong(
            recipe,
            f"generate.fields.{name}.choices",
            f"{spec.choices!r} are no choices",
            allowed="a list, or `labels` for the labels of a classify task",
        )
    return tuple(labels)


def wrong(
    recipe: Recipe, key: str, found: str, *, allowed: str | None = None, fix: str | None = None
) -> RecipeError:
    """Returns the error that says what is wrong at a key of the recipe."""
    line = recipe._lines.get(key)
    problem = Problem(found, recipe._source or None, line, key, allowed, fix)
    return RecipeError(str(problem), [problem])
