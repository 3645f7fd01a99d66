"""Strategies as fields: `distill check --expanded` prints what this makes."""

from collections.abc import Callable, Mapping
from typing import Any

from distill.errors import Problem, RecipeError
from distill.recipe.defaults import TEACHER_PROMPTS
from distill.recipe.generation import FieldSpec
from distill.recipe.given import with_given_rows
from distill.recipe.schema import Recipe
from distill.recipe.signal_source import asking_logprobs
from distill.recipe.strategies import rationale as rationales
from distill.recipe.strategies import react as reacts
from distill.recipe.strategies.best_of_n import best_of_n
from distill.recipe.strategies.context_distillation import context_distillation
from distill.recipe.strategies.edit_hard import edit_hard
from distill.recipe.strategies.evolve import evolve
from distill.recipe.strategies.from_documents import from_documents
from distill.recipe.strategies.judge_data import judge_data
from distill.recipe.strategies.label_pool import label_pool
from distill.recipe.strategies.paraphrase import paraphrase
from distill.recipe.strategies.parts import Made
from distill.recipe.strategies.preference import preference
from distill.recipe.strategies.rationale import rationale, rationale_completion
from distill.recipe.strategies.react import react, react_completion
from distill.recipe.strategies.self_instruct import self_instruct
from distill.recipe.strategy_options import OPTIONS

Fields = dict[str, FieldSpec]

STRATEGIES: Mapping[str, Callable[[Recipe, str, Any], Made]] = {
    "label_pool": label_pool,
    "self_instruct": self_instruct,
    "evolve": evolve,
    "paraphrase": paraphrase,
    "from_documents": from_documents,
    "rationale": rationale,
    "react": react,
    "preference": preference,
    "judge_data": judge_data,
    "context_distillation": context_distillation,
    "best_of_n": best_of_n,
    "edit_hard": edit_hard,
}
COMPLETIONS: Mapping[str, Callable[[Recipe, Any], str | None]] = {
    "rationale": rationale_completion,
    "react": react_completion,
}
"""Strategies whose student learns to write more than the output."""
ANSWERS: Mapping[str, str] = {"rationale": rationales.SAID, "react": reacts.SAID}
"""Where in that the output stands."""


def expand(recipe: Recipe) -> Recipe:
    """The recipe with its strategy written out as fields; the same again when called twice.

    Strategies that lack what they need, which `check` names, come back unchanged. A teacher whose
    answers give the training signal is told to give their probabilities too.

    Raises: RecipeError when a template cannot name the task's fields, or a file is missing.
    """
    return asking_logprobs(_with_fields(with_given_rows(recipe)))


def _with_fields(recipe: Recipe) -> Recipe:
    generate = recipe.generate
    if generate is None or generate.ask is None or generate.strategy is None:
        return recipe
    options = generate.options or _defaults(generate.strategy)
    if options is None or recipe.task.kind not in TEACHER_PROMPTS:
        return recipe
    _usable_names(recipe)
    made = STRATEGIES[generate.strategy](recipe, generate.ask, options)
    fields = _merged(made, generate.fields)
    update: dict[str, Any] = {
        "generate": generate.model_copy(update={"fields": fields, "options": options})
    }
    if generate.strategy in COMPLETIONS and recipe.task.completion is None:
        completion = COMPLETIONS[generate.strategy](recipe, options)
        pattern = recipe.task.answer_pattern
        if completion is not None and pattern is None:
            pattern = ANSWERS[generate.strategy]
        told = {"completion": completion, "answer_pattern": pattern}
        update["task"] = recipe.task.model_copy(update=told)
    return recipe.model_copy(update=update)


def _defaults(strategy: str) -> Any:
    """A strategy's options where none are given; None where it cannot do without."""
    kind = OPTIONS[strategy]
    needed = any(field.is_required() for field in kind.model_fields.values())
    return None if needed else kind()


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
