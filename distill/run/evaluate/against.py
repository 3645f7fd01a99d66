"""Other models beside the student: teachers that are asked as it is, and students of other runs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from distill.errors import Problem, UsageError
from distill.evaluate.stage import SystemResult
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.run.context import Context
from distill.run.evaluate.ladder import Model, Rung, climb, plain, teacher_model, writes_turns
from distill.run.evaluate.predict import FACTS, student_folder
from distill.run.evaluate.sets import MeasuredSet
from distill.run.models.students import ANSWER_TOKENS
from teachers.config import OpenAITeacher


def against_names(recipe: Recipe) -> list[str]:
    """What `evaluate.against` names."""
    given = recipe.evaluate.against if recipe.evaluate else None
    return [given] if isinstance(given, str) else list(given or ())


def require_against(recipe: Recipe) -> None:
    """Looks for what `evaluate.against` names before anything is paid.

    Raises: UsageError for what is neither a teacher nor a run's student, and for a student of
    another kind of task.
    """
    for ref in against_names(recipe):
        if ref in recipe.teachers:
            continue
        try:
            facts = _facts(ref)
        except UsageError as error:
            teachers = ", ".join(recipe.teachers)
            found = (
                f"{ref!r} is neither a teacher nor a run with a student: {error.problems[0].found}"
            )
            problem = Problem(found, recipe._source, key="evaluate.against", allowed=teachers)
            raise UsageError(str(problem), [problem]) from error
        kind = facts["prompt"]["task"]["kind"]
        if kind != recipe.task.kind:
            problem = Problem(
                f"the student of {ref} learnt a {kind} task",
                recipe._source,
                key="evaluate.against",
                allowed=recipe.task.kind,
            )
            raise UsageError(str(problem), [problem])


def against_results(
    context: Context, part: MeasuredSet, tell: Callable[[str], None]
) -> dict[str, list[SystemResult]]:
    """NAME -> what each of them says: a teacher by the student's prompt, a student by its own."""
    found: dict[str, list[SystemResult]] = {}
    for ref in against_names(context.recipe):
        if ref in context.recipe.teachers:
            model = teacher_model(context, ref)
            asked = plain(TaskPrompt.from_recipe(context.recipe), part.records, None)
        else:
            facts = _facts(ref)
            model = _student(context, ref, facts)
            limit = facts.get("max_tokens") or ANSWER_TOKENS
            asked = plain(TaskPrompt.from_dict(facts["prompt"]), part.records, limit)
        rung = Rung(model.name, asked)
        found |= {name: [one] for name, one in climb(context, part, model, [rung], tell).items()}
    return found


def _student(context: Context, ref: str, facts: dict[str, Any]) -> Model:
    name = Path(ref).name
    if (hosted := facts.get("hosted")) is not None:
        context.teachers.add(name, OpenAITeacher(**hosted))
        return Model(name, None, None, turns=True)
    folder = str(student_folder(ref))
    return Model(name, folder, None, writes_turns(folder))


def _facts(ref: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((student_folder(ref) / FACTS).read_text("utf-8"))
    return facts
