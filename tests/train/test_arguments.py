"""The recipe's `train` and what transformers is told."""

import pytest

from distill.errors import PrerequisiteError, RecipeError
from distill.recipe.training import Train
from distill.train.arguments import OWNED, Shape, check_built, shape_of, training_arguments
from distill.train.defaults import DEFAULTS


def _shape(rows=100, processes=1, cpu=True, **train):
    return shape_of(Train(**train), rows=rows, processes=processes, cpu=cpu)


def _arguments(tmp_path, method="full", **train):
    shape = Shape(steps=100, batch=8, micro_batch=4, accumulation=2)
    train = Train.model_validate(train)
    return training_arguments(train, method, shape, out_dir=tmp_path, seed=3, val=True)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({"batch": 32}, Shape(10, 32, 32, 1)),
        ({"batch": 128}, Shape(3, 128, 64, 2)),
        ({"batch": 32, "cpu": False}, Shape(10, 32, 8, 4)),
        ({"batch": 32, "processes": 4, "cpu": False}, Shape(10, 32, 8, 1)),
        ({"batch": 12, "processes": 2, "micro_batch": 3, "steps": 5}, Shape(5, 12, 3, 2)),
        ({"batch": 200, "epochs": 0.1}, Shape(1, 200, 50, 4)),
        ({"batch": 14, "cpu": False, "epochs": 1}, Shape(8, 14, 7, 2)),
    ],
)
def test_batches_are_divided(given, want):
    """Rows per step stay as written; the rest is derived from the processes and the device."""
    assert _shape(**given) == want


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"batch": 9, "processes": 2}, "train.batch"),
        ({"batch": 8, "micro_batch": 3}, "train.micro_batch"),
    ],
)
def test_what_cannot_be_divided_is_named(given, key):
    """The key and a way out."""
    with pytest.raises(RecipeError) as caught:
        _shape(**given)
    assert caught.value.problems[0].key == key
    assert caught.value.problems[0].fix


def test_defaults_of_the_method_and_the_user_s_own_keys(tmp_path):
    """Ours stand until the recipe says otherwise."""
    args = _arguments(tmp_path, "lora", trainer={"weight_decay": 0.3, "logging_steps": 7})
    assert args.learning_rate == DEFAULTS["lora"]["learning_rate"].value
    assert (args.weight_decay, args.logging_steps) == (0.3, 7)
    assert (args.max_steps, args.save_steps, args.gradient_accumulation_steps) == (100, 20, 2)
    assert _arguments(tmp_path, "lora", lr=3e-3).learning_rate == 3e-3


def test_keys_of_the_recipe_are_not_taken_twice(tmp_path):
    """A key that the recipe says in its own words is refused with that word."""
    given = {"max_steps": 3, "learning_rates": 1, "weigth_decay": 0.1}
    with pytest.raises(RecipeError) as caught:
        _arguments(tmp_path, trainer=given)
    told = {problem.key: problem for problem in caught.value.problems}
    assert "train.steps" in told["train.trainer.max_steps"].fix
    assert "'weight_decay'" in told["train.trainer.weigth_decay"].fix
    assert len(told) == 3


def test_owned_keys_exist():
    """The table names real keys only."""
    from dataclasses import fields

    from transformers import TrainingArguments

    assert OWNED.keys() <= {field.name for field in fields(TrainingArguments)}


def test_values_that_transformers_refuses_are_an_error(tmp_path):
    """Its message reaches the user."""
    with pytest.raises(RecipeError) as caught:
        _arguments(tmp_path, trainer={"lr_scheduler_type": "wavy"})
    assert "wavy" in caught.value.problems[0].found


@pytest.mark.parametrize(
    "given",
    [{"lr": [1e-3, 1e-2]}],
)
def test_what_is_not_built_is_refused(given):
    """The key is named instead of being passed over."""
    with pytest.raises(RecipeError) as caught:
        check_built(Train.model_validate(given))
    assert caught.value.problems[0].key == f"train.{next(iter(given))}"


def test_a_logging_back_end_that_is_absent_is_told_before_a_model_is_loaded(tmp_path):
    """With the line to type; one that does not exist with those that do."""
    from transformers.integrations import integration_utils as known

    there = {"flyte", *known.get_available_reporting_integrations()}
    absent = next(name for name in known.INTEGRATION_TO_CALLBACK if name not in there)
    with pytest.raises(PrerequisiteError, match=r"Type: pip install"):
        _arguments(tmp_path, trainer={"report_to": absent})
    with pytest.raises(RecipeError, match="wandbb") as caught:
        _arguments(tmp_path, trainer={"report_to": ["wandbb"]})
    assert "tensorboard" in caught.value.problems[0].allowed
