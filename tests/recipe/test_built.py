from typing import get_args

from distill.recipe.built import BUILT_FILTERS
from distill.recipe.check_strategy import NEEDS
from distill.recipe.defaults import STUDENT_PROMPTS, TEACHER_PROMPTS
from distill.recipe.expand import STRATEGIES
from distill.recipe.filtering import AnyFilter, LaterFilter
from distill.recipe.generation import StrategyName
from distill.recipe.strategy_options import OPTIONS


def test_built_filters_are_the_union_without_the_later_ones() -> None:
    """A filter is built when it has a class of its own, and reserved otherwise."""
    kinds = [get_args(member.model_fields["kind"].annotation)[0] for member in get_args(AnyFilter)]
    assert tuple(kinds) == BUILT_FILTERS
    later = get_args(LaterFilter.model_fields["kind"].annotation)
    assert not set(later) & set(kinds)


def test_strategies_have_names_options_and_prompts() -> None:
    """Every strategy is in the schema, with its options and what it needs; so are the prompts."""
    assert set(STRATEGIES) == set(OPTIONS) == set(NEEDS) == set(get_args(StrategyName))
    assert TEACHER_PROMPTS.keys() == STUDENT_PROMPTS.keys()
