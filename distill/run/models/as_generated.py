"""The prompt by which the dataset was made, shown to its teacher for held-out rows.

A held-out row holds its answer, and more that generation only makes later; none of it may reach a
prompt, not even one that shows the whole row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distill.generate.steps import COMPANIONS
from distill.recipe.expand import expand
from distill.recipe.files import text_of
from distill.recipe.generation import AskField
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.recipe.templates import Template
from teachers.protocol import Message, user


@dataclass(frozen=True, slots=True)
class AsGenerated(TaskPrompt):
    """The prompt of a field, rendered as it was for the dataset."""

    hidden: frozenset[str] = field(default=frozenset())
    """Names that generation did not know when it asked."""

    def ask_messages(self, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """The one turn that shows a row to its teacher."""
        known = {name: value for name, value in fields.items() if name not in self.hidden}
        return user(self.template.render({"row": known, **known}))


def shown_to_teacher(
    recipe: Recipe, spec: AskField | None, records: Sequence[Mapping[str, Any]]
) -> TaskPrompt:
    """The generation's own prompt where the held-out rows have its fields, else the student's."""
    plain = TaskPrompt.from_recipe(recipe)
    if spec is None:
        return plain
    template = Template(text_of(recipe, spec.prompt), spec.prompt)
    hidden = _made_from(recipe, spec)
    needed = template.names - {"row"}
    if not all(needed <= record.keys() - hidden for record in records):
        return plain
    return AsGenerated(recipe.task, template, hidden)


def with_companions(names: Sequence[str]) -> frozenset[str]:
    """Fields and what is recorded beside them."""
    return frozenset(name + suffix for name in names for suffix in ("", *COMPANIONS))


def _made_from(recipe: Recipe, spec: AskField) -> frozenset[str]:
    """The output, the field that this asks for, and all that is made after it."""
    generate = expand(recipe).generate
    fields = list(generate.fields.items()) if generate else []
    at = next((place for place, (_, one) in enumerate(fields) if one == spec), len(fields))
    return with_companions([recipe.task.output, *(name for name, _ in fields[at:])])
