"""DeepSpeed's settings from the recipe's short form."""

import json
import subprocess
import sys

import pytest

from distill.errors import RecipeError
from distill.recipe.training import Train
from distill.train.arguments import Shape, training_arguments
from distill.train.deepspeed_config import deepspeed_config, is_stage_3


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_a_stage_name_is_enough(stage):
    """Batch sizes and precision are left to transformers; stage 3 gives whole weights back."""
    config = deepspeed_config(f"zero{stage}", cpu=False)
    assert config["zero_optimization"]["stage"] == stage
    assert config["train_micro_batch_size_per_gpu"] == "auto"
    assert "optimizer" not in config
    assert is_stage_3(config) == (stage == 3)
    assert config["zero_optimization"].get("stage3_gather_16bit_weights_on_model_save", False) == (
        stage == 3
    )


def test_on_a_cpu_nothing_is_compiled():
    """The optimizer is the Trainer's, also where it is offloaded; a named one is left alone."""
    config = deepspeed_config("zero2_offload", cpu=True)
    assert "optimizer" not in config
    assert config["zero_force_ds_cpu_optimizer"] is False
    named = {"optimizer": {"type": "AdamW"}}
    assert "zero_force_ds_cpu_optimizer" not in deepspeed_config(named, cpu=True)


def test_files_and_mappings_stay_as_they_are(tmp_path):
    """What is written wins over what we would fill in."""
    given = {"zero_optimization": {"stage": 1}, "gradient_clipping": 0.5, "fp16": {"enabled": True}}
    (tmp_path / "ds.json").write_text(json.dumps(given))
    for source in (given, str(tmp_path / "ds.json")):
        config = deepspeed_config(source, cpu=False)
        assert config["gradient_clipping"] == 0.5
        assert "bf16" not in config
    assert given["zero_optimization"] == {"stage": 1}


@pytest.mark.parametrize("given", ["zero4", "missing.json"])
def test_anything_else_is_refused(given):
    """The message says what may stand there."""
    with pytest.raises(RecipeError) as caught:
        deepspeed_config(given, cpu=True)
    assert "zero3" in caught.value.problems[0].allowed


def test_the_plan_side_needs_no_torch():
    """Plan, defaults, launcher and DeepSpeed's settings load without the training extra."""
    modules = "plan, defaults, launch, deepspeed_config"
    code = f"import sys; from distill.train import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("stage", [2, 3])
def test_offload_has_a_name(stage):
    """Optimiser states, under ZeRO-3 the weights too, go to the CPU's memory."""
    zero = deepspeed_config(f"zero{stage}_offload", cpu=False)["zero_optimization"]
    assert zero["stage"] == stage
    assert zero["offload_optimizer"]["device"] == "cpu"
    assert ("offload_param" in zero) == (stage == 3)


def test_a_clash_names_the_key_of_the_recipe(tmp_path):
    """Every value that says something else; `auto` and equal ones pass."""
    given = {
        "train_batch_size": 64,
        "train_micro_batch_size_per_gpu": 4,
        "gradient_clipping": 1,
        "optimizer": {"type": "AdamW", "params": {"lr": 3e-4, "weight_decay": "auto"}},
        "zero_optimization": {"stage": 2},
    }
    shape = Shape(steps=10, batch=8, micro_batch=4, accumulation=2)
    train = Train(batch=8, lr=1e-4, deepspeed=given)
    with pytest.raises(RecipeError) as caught:
        training_arguments(train, "full", shape, out_dir=tmp_path, seed=3, val=True)
    told = {problem.key: problem.found for problem in caught.value.problems}
    assert told == {
        "train.batch": "8 here, but train_batch_size is 64 in train.deepspeed",
        "train.lr": "0.0001 here, but optimizer.params.lr is 0.0003 in train.deepspeed",
    }
