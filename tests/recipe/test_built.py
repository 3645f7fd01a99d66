from typing import get_args

from distill.recipe.built import BUILT_FILTERS, BUILT_STRATEGIES
from distill.recipe.defaults import STUDENT_PROMPTS, TEACHER_PROMPTS
from distill.recipe.filtering import AnyFilter, LaterFilter
from distill.recipe.generation import StrategyName


def test_built_filters_are_the_union_without_the_later_ones() -> None:
    """A filter is built when it has a class of its own, and reserved otherwise."""
    kinds = [get_args(member.model_fields["kind"].annotation)[0] for member in get_args(AnyFilter)]
    assert tuple(kinds) == BUILT_FILTERS
    later = get_args(LaterFilter.model_fields["kind"].annotation)
    assert not set(later) & set(kinds)


def test_built_strategies_have_names_and_prompts() -> None:
    """Every built strategy is in the schema; teachers and students are asked the same tasks."""
    assert set(BUILT_STRATEGIES) <= set(get_args(StrategyName))
    assert TEACHER_PROMPTS.keys() == STUDENT_PROMPTS.keys()
