from typing import get_args

from distill.recipe.check_strategy import NEEDS
from distill.recipe.defaults import STUDENT_PROMPTS, TEACHER_PROMPTS
from distill.recipe.expand import STRATEGIES
from distill.recipe.generation import StrategyName
from distill.recipe.strategy_options import OPTIONS


def test_strategies_have_names_options_and_prompts() -> None:
    """Every strategy is in the schema, with its options and what it needs; so are the prompts."""
    assert set(STRATEGIES) == set(OPTIONS) == set(NEEDS) == set(get_args(StrategyName))
    assert TEACHER_PROMPTS.keys() == STUDENT_PROMPTS.keys()
