"""The teacher on held-out rows, where the output is made of several fields: a trace, reasons.

Asked exactly as for the dataset: the recipe's own fields are filled for each held-out row, from
what the student is shown of it.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from distill.evaluate.answers import Answered
from distill.evaluate.asking import answer_each
from distill.generate.fill import Filler
from distill.generate.propose import Proposal
from distill.generate.sources import Sources
from distill.generate.steps import COMPANIONS, Step, build_steps
from distill.recipe.expand import ANSWERS, expand
from distill.recipe.generation import AskField, RenderField, SampleField
from distill.recipe.prompts import JUDGES, TaskPrompt
from distill.recipe.schema import Recipe
from distill.rows.row import canonical_json
from distill.run.models.as_generated import with_companions
from teachers.protocol import Answer, Ask, Teacher

_given: ContextVar[list[Answer]] = ContextVar("_given")
"""What was answered for the row that is being filled."""


def filled_by(recipe: Recipe) -> str | None:
    """The teacher whose output only the recipe's fields make, None where there is none."""
    generate = recipe.generate
    if generate is None or isinstance(recipe.task, JUDGES) or generate.strategy not in ANSWERS:
        return None
    return generate.ask


def can_fill(recipe: Recipe, records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the rows hold all that the fields are made from."""
    columns = _columns(recipe, records)
    known = {*columns, "row"}
    for step in _steps(recipe, columns):
        if step.template is not None and not step.template.names <= known:
            return False
        known |= {step.name + suffix for suffix in ("", *COMPANIONS)}
    return recipe.task.output in known


async def filled_answers(
    recipe: Recipe,
    teachers: Mapping[str, Teacher],
    records: Sequence[Mapping[str, Any]],
    in_flight: int = 16,
) -> list[Answered]:
    """One answer per row, in order: the output field, or how the row failed.

    Raises: AuthError and BudgetReached, which concern all rows.
    """
    columns = _columns(recipe, records)
    steps = _steps(recipe, columns)
    asked = {name for step in steps if (name := getattr(step.spec, "ask", None)) is not None}
    counted: dict[str, Teacher] = {name: _Counted(teachers[name]) for name in sorted(asked)}
    filler = Filler(recipe, steps, Sources(recipe), counted)

    async def one(record: Mapping[str, Any]) -> Answered:
        given: list[Answer] = []
        _given.set(given)
        base = {name: record[name] for name in columns}
        filled = await filler.fill(Proposal("held out", base, {}, {}))
        value = filled.row.fields.get(recipe.task.output)
        made = filled.row.status == "accepted"
        costs = [answer.cost_usd for answer in given]
        return Answered(
            (value if isinstance(value, str) else canonical_json(value)) if made else None,
            input_tokens=sum(answer.usage.input_tokens for answer in given),
            output_tokens=sum(answer.usage.output_tokens for answer in given),
            cost_usd=None if None in costs else sum(cost for cost in costs if cost),
            failed=None if made else filled.row.reason,
            stored=any(answer.stored for answer in given),
            wrote=given[-1].text if given else None,
        )

    return await answer_each(one, records, in_flight)


class _Counted:
    """A teacher that notes what it answered for which row."""

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher
        self.name = teacher.name

    async def ask(self, ask: Ask) -> Answer:
        answer = await self._teacher.ask(ask)
        _given.get().append(answer)
        return answer

    async def close(self) -> None:
        """Nothing: the teacher belongs to the run."""


def _columns(recipe: Recipe, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is known of every row: what the student is shown of it, and what no field makes."""
    shown = TaskPrompt.from_recipe(recipe).needs
    fields = expand(recipe).generate
    made = with_companions([*(fields.fields if fields else ()), recipe.task.output]) - shown
    common = set.intersection(*(set(record) for record in records)) if records else set()
    return sorted(common - made)


def _steps(recipe: Recipe, columns: Sequence[str]) -> list[Step]:
    """The fields that are made; which rows to keep is a question of the dataset."""
    recipe = expand(recipe)
    generate = recipe.generate
    assert generate is not None
    fields = {
        name: spec
        for name, spec in generate.fields.items()
        if name not in columns
        and not isinstance(spec, SampleField)
        and (name == recipe.task.output or not (isinstance(spec, RenderField) and spec.keep))
    }
    asked = any(isinstance(spec, AskField) for spec in fields.values())
    trimmed = generate.model_copy(update={"fields": fields if asked else {}})
    return build_steps(recipe.model_copy(update={"generate": trimmed}), columns)
