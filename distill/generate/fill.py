"""Fills a proposal: renders, asks and counts votes, field by field in the order of the recipe."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distill.generate.propose import Proposal, Proposer
from distill.generate.steps import Step, choices_of, wrong
from distill.recipe.generation import AskField, RenderField
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

    Raises: RecipeError when a field asks a teacher that there is not.
    """

    def __init__(self, recipe: Recipe, proposer: Proposer, teachers: Mapping[str, Teacher]) -> None:
        self._steps = proposer.steps
        self._teachers = teachers
        self._choices: dict[str, tuple[str, ...] | None] = {}
        for step in self._steps:
            if not isinstance(step.spec, AskField):
                continue
            self._choices[step.name] = choices_of(recipe, step.name, step.spec)
            if step.spec.ask not in teachers:
                raise wrong(
                    recipe, f"generate.fields.{step.name}.ask", f"no teacher {step.spec.ask!r}",
                    allowed=", ".join(teachers) or "none is defined",
                )  # fmt: skip

    async def fill(self, proposal: Proposal) -> Filled:
        """Returns the candidate, accepted if every field was made and failed otherwise.

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
        return Filled(Row(proposal.id, fields))

    async def _make(
        self, step: Step, fields: Mapping[str, Any], proposal: Proposal
    ) -> dict[str, Any]:
        if step.template is None:
            return dict(proposal.drawn[step.name])
        text = step.template.render(fields)
        if isinstance(step.spec, RenderField):
            return {step.name: text}
        assert isinstance(step.spec, AskField)
        first = proposal.replicas.get(step.name, 0) * step.spec.votes
        votes = await self._ask(step.name, step.spec, text, first)
        return _count(step.name, step.spec, votes)

    async def _ask(self, name: str, spec: AskField, text: str, first: int) -> list[_Vote]:
        """The votes that worked, by sample number; the first failure if none did."""
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
            for vote in range(spec.votes)
        ]
        outcomes = await _all_of([_vote(teacher, ask, spec) for ask in asks])
        worked = [outcome for outcome in outcomes if isinstance(outcome, _Vote)]
        if not worked:
            raise next(outcome for outcome in outcomes if isinstance(outcome, TeacherError))
        return worked


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
    counts = Counter(vote.key for vote in votes)
    modal = max(votes, key=lambda vote: counts[vote.key])
    made: dict[str, Any] = {name: modal.value}
    if spec.votes > 1:
        made[f"{name}_votes"] = dict(sorted(counts.items()))
        made[f"{name}_p"] = counts[modal.key] / len(votes)
    elif modal.answer.choice_logp is not None and modal.key in modal.answer.choice_logp:
        made[f"{name}_p"] = math.exp(modal.answer.choice_logp[modal.key])
    if spec.truncated == "accept":
        made[f"{name}_finish"] = modal.answer.finish
    return made
