"""Fills a proposal: renders, asks and counts votes, field by field in the order of the recipe."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.generate.act import Tools
from distill.generate.own import OwnField
from distill.generate.propose import Proposal
from distill.generate.sources import Sources
from distill.generate.steps import Step, choices_of, wrong
from distill.recipe.generation import (
    ActField,
    AskField,
    FieldSpec,
    PythonField,
    RenderField,
    SampleField,
)
from distill.recipe.schema import Recipe
from distill.rows.row import Row, Verdict, canonical_json
from teachers.errors import AuthError, TeacherError
from teachers.protocol import Answer, Ask, Teacher, user


@dataclass(frozen=True, slots=True)
class Filled:
    """A candidate with all its fields, or with those it had when one failed."""

    row: Row
    failure: str | None = None
    """What the teacher's error said."""


@dataclass(frozen=True, slots=True)
class _Vote:
    key: str
    value: Any
    answer: Answer


class Filler:
    """Fills the candidates of one recipe.

    Raises: RecipeError when a field asks a teacher that there is not, or names no function.
    """

    def __init__(
        self,
        recipe: Recipe,
        steps: Sequence[Step],
        sources: Sources,
        teachers: Mapping[str, Teacher],
    ) -> None:
        self._steps = steps
        self._teachers = teachers
        self._choices: dict[str, tuple[str, ...] | None] = {}
        self._own: dict[str, OwnField] = {}
        self._tools: dict[str, Tools] = {}
        for step in self._steps:
            key = f"generate.fields.{step.name}"
            if isinstance(step.spec, AskField):
                self._choices[step.name] = choices_of(recipe, step.name, step.spec)
            elif isinstance(step.spec, PythonField):
                self._own[step.name] = OwnField(recipe, step, teachers)
            elif isinstance(step.spec, ActField):
                self._tools[step.name] = Tools(recipe, step.spec.tools, sources, key)
            asks = getattr(step.spec, "ask", None)
            if asks is not None and asks not in teachers:
                raise wrong(
                    recipe, f"{key}.ask", f"no teacher {asks!r}",
                    allowed=", ".join(teachers) or "none is defined",
                )  # fmt: skip

    async def fill(self, proposal: Proposal) -> Filled:
        """Returns the candidate: accepted if every field was made, rejected by `keep`, or failed.

        Raises: AuthError or BudgetReached, after which no other candidate can be filled either.
        """
        fields = dict(proposal.columns)
        for step in self._steps:
            try:
                fields |= await self._make(step, fields, proposal)
            except AuthError:
                raise
            except TeacherError as error:
                said = (Verdict(step.name, keep=False, reason=error.kind),)
                row = Row(proposal.id, fields, "failed", error.kind, verdicts=said)
                return Filled(row, str(error))
            if (value := _unwanted(step.spec, fields.get(step.name))) is not None:
                said = (Verdict(step.name, keep=False, reason=value),)
                reason = f"{step.name}:{value}"
                return Filled(Row(proposal.id, fields, "rejected", reason, verdicts=said))
        return Filled(Row(proposal.id, fields))

    async def _make(
        self, step: Step, fields: Mapping[str, Any], proposal: Proposal
    ) -> dict[str, Any]:
        name, spec = step.name, step.spec
        first = proposal.replicas.get(name, 0)
        if isinstance(spec, SampleField):
            return dict(proposal.drawn[name])
        if isinstance(spec, PythonField):
            return {name: await self._own[name].make(fields, first)}
        assert step.template is not None
        seen = {"row": fields, **fields}
        if step.when is not None and _says_no(step.when.render(seen)):
            assert step.otherwise is not None
            return {name: step.otherwise.render(seen)}
        text = step.template.render(seen)
        if isinstance(spec, ActField):
            return {name: await self._tools[name].use(text, fields)}
        if isinstance(spec, RenderField):
            return {name: _rendered(spec, text)}
        each = spec.count or spec.votes
        votes = await self._ask(name, spec, text, first * each, each)
        return _count(name, spec, votes)

    async def _ask(
        self, name: str, spec: AskField, text: str, first: int, times: int
    ) -> list[_Vote]:
        """The votes that worked, by sample number; a failure if none did, or one of a `count`."""
        teacher = self._teachers[spec.ask]
        asks = [
            Ask(
                user(text),
                sample=first + vote,
                choices=self._choices[name],
                schema=spec.schema_,
                max_tokens=spec.max_tokens,
                allow_truncated=spec.truncated == "accept",
            )
            for vote in range(times)
        ]
        outcomes = await _all_of([_vote(teacher, ask, spec) for ask in asks])
        worked = [outcome for outcome in outcomes if isinstance(outcome, _Vote)]
        if not worked or (spec.count is not None and len(worked) < times):
            raise next(outcome for outcome in outcomes if isinstance(outcome, TeacherError))
        return worked


def _rendered(spec: RenderField, text: str) -> Any:
    if spec.parse == "text":
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise TeacherError("schema", f"renders to no JSON: {error}: {text[:80]!r}") from error


def _says_no(text: str) -> bool:
    return text.strip().lower() in ("", "no", "false", "0", "none")


def _unwanted(spec: FieldSpec, value: Any) -> str | None:
    """The value, short, where the field's `keep` does not name it."""
    keep = getattr(spec, "keep", None)
    if keep is None:
        return None
    text = value if isinstance(value, str) else canonical_json(value)
    return None if text in keep else text[:40]


async def _all_of(coroutines: list[Any]) -> list[_Vote | TeacherError]:
    """Results in order; anything but a failed ask cancels the rest and is raised."""
    if len(coroutines) == 1:
        return [await coroutines[0]]
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _vote(teacher: Teacher, ask: Ask, spec: AskField) -> _Vote | TeacherError:
    try:
        answer = await teacher.ask(ask)
        return _read(answer, ask, spec)
    except AuthError:
        raise
    except TeacherError as error:
        return error


def _read(answer: Answer, ask: Ask, spec: AskField) -> _Vote:
    text = answer.text.strip() if spec.strip else answer.text
    if ask.choices is not None:
        text = answer.text.strip()
        if text not in ask.choices:
            raise TeacherError("parse", f"answered {text[:80]!r}, which is not one of the choices")
    if ask.schema is None:
        return _Vote(text, text, answer)
    try:
        value = json.loads(text)
        return _Vote(canonical_json(value), value, answer)
    except ValueError as error:
        raise TeacherError("schema", f"answered no JSON: {error}") from error


def _count(name: str, spec: AskField, votes: list[_Vote]) -> dict[str, Any]:
    """The field and its companions; of equally frequent answers the first one wins."""
    if spec.count is not None:
        return {name: [vote.value for vote in votes]}
    counts = Counter(vote.key for vote in votes)
    modal = max(votes, key=lambda vote: counts[vote.key])
    made: dict[str, Any] = {name: modal.value}
    if spec.votes > 1:
        made[f"{name}_votes"] = dict(sorted(counts.items()))
        made[f"{name}_p"] = counts[modal.key] / len(votes)
    elif modal.answer.choice_logp is not None and modal.key in modal.answer.choice_logp:
        made[f"{name}_p"] = math.exp(modal.answer.choice_logp[modal.key])
        made[f"{name}_logp"] = dict(modal.answer.choice_logp)
    if spec.truncated == "accept":
        made[f"{name}_finish"] = modal.answer.finish
    return made
