"""The fields of a recipe in order, each with its template and the base values it depends on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from distill.errors import Problem, RecipeError
from distill.recipe.files import text_of
from distill.recipe.generation import (
    ActField,
    AskField,
    FieldSpec,
    Generate,
    PythonField,
    RenderField,
    SampleField,
)
from distill.recipe.schema import Recipe
from distill.recipe.task import labels_of
from distill.recipe.templates import Template

COMPANIONS = ("_id", "_votes", "_p", "_logp", "_finish")
"""What may follow a field's name: values that are recorded beside it."""


@dataclass(frozen=True, slots=True)
class Step:
    """One field and how its value comes to be."""

    name: str
    spec: FieldSpec
    template: Template | None
    """Of a render, ask or act field."""
    depends: frozenset[str]
    """Base values (pool columns and sampled fields) that decide the value, through any chain."""
    when: Template | None = None
    """Of an ask field: whether anybody is asked."""
    otherwise: Template | None = None
    args: Mapping[str, Template] = field(default_factory=dict)
    """Of a python field."""

    @property
    def repeats(self) -> bool:
        """Whether equal prompts must get different answers: a teacher writes freely."""
        if isinstance(self.spec, PythonField):
            return self.spec.ask is not None
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
        step = _step(recipe, name, spec, known)
        known.update((name + suffix, step.depends) for suffix in ("", *COMPANIONS))
        steps.append(step)
    return steps


def _step(recipe: Recipe, name: str, spec: FieldSpec, known: Mapping[str, frozenset[str]]) -> Step:
    key = f"generate.fields.{name}"
    if isinstance(spec, SampleField):
        return Step(name, spec, None, frozenset((name,)))
    if isinstance(spec, PythonField):
        # The function may look at the whole row.
        args = {arg: Template(text, f"{key}.args.{arg}") for arg, text in spec.args.items()}
        return Step(name, spec, None, frozenset().union(*known.values()), args=args)
    template = Template(text_of(recipe, _source(spec)), key)
    depends = _base(template, known)
    if not isinstance(spec, AskField) or spec.when is None:
        return Step(name, spec, template, depends)
    when = Template(spec.when, f"{key}.when")
    return Step(
        name,
        spec,
        template,
        depends | _base(when, known),
        when=when,
        otherwise=Template(spec.otherwise, f"{key}.otherwise"),
    )


def _source(spec: RenderField | AskField | ActField) -> str:
    match spec:
        case RenderField():
            return spec.render
        case AskField():
            return spec.prompt
        case ActField():
            return spec.act


def _base(template: Template, known: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The base values behind a template's names; all of them behind `row`."""
    names = known if "row" in template.names and "row" not in known else template.names
    return frozenset().union(*(known.get(name, frozenset()) for name in names))


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
