"""Who answers for the teacher, and how long answers may be."""

from distill.recipe.generation import AskField
from distill.recipe.given import FIELDS, objective_of
from distill.recipe.prompts import teacher_prompt
from distill.recipe.schema import Recipe
from distill.run.keys import asked_teachers
from distill.run.models.filled_answers import filled_by
from distill.run.models.local import signal_teacher
from distill.run.models.students import ANSWER_TOKENS


def measured_teacher(recipe: Recipe) -> str | None:
    """The teacher that is measured beside the student: who wrote the labels, or gave the signal."""
    if objective_of(recipe) in FIELDS and not asked_teachers(recipe):
        return None
    named = teacher_prompt(recipe)
    return named[0] if named else filled_by(recipe) or signal_teacher(recipe)


def answer_tokens(recipe: Recipe) -> int:
    """Most tokens of a student's answer: as many as its teacher was allowed."""
    if recipe.task.answer_pattern is not None and recipe.generate is not None:
        # Reasons and answer may come from several asks: a trace has one for each step.
        asks = [spec for spec in recipe.generate.fields.values() if isinstance(spec, AskField)]
        allowed = (spec.max_tokens or recipe.teachers[spec.ask].max_tokens for spec in asks)
        return max(ANSWER_TOKENS, sum(allowed))
    named = teacher_prompt(recipe)
    if named is None:
        return ANSWER_TOKENS
    return named[1].max_tokens or recipe.teachers[named[0]].max_tokens
