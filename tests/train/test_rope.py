"""A longer context through scaled rotary positions."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from distill.errors import RecipeError
from distill.export.weights import merge_adapter
from distill.progress import silent
from distill.train.initialise import make_student
from distill.train.stage import train

YARN = {"rope_type": "yarn", "factor": 4.0}


@pytest.mark.parametrize("scaling", [YARN, {"rope_type": "linear", "factor": 2.0}])
def test_the_scaled_student_has_the_same_weights(base, tmp_path, scaling):
    """Another configuration and longer context; weights and tokenizer are linked, not copied."""
    made = make_student({"model": base, "rope_scaling": scaling}, None, (), 0, tmp_path / "long")
    config = AutoConfig.from_pretrained(made)
    assert config.max_position_embeddings == 64 * scaling["factor"]
    assert config.rope_parameters["rope_type"] == scaling["rope_type"]
    assert config.rope_parameters["rope_theta"] == 10_000
    assert (Path(made) / "model.safetensors").is_symlink()
    assert AutoConfig.from_pretrained(base).max_position_embeddings == 64
    again = make_student({"model": base, "rope_scaling": scaling}, None, (), 0, tmp_path / "long")
    assert again == made
    assert AutoModelForCausalLM.from_pretrained(made).num_parameters() > 0


@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_is_trained_keeps_the_longer_context(make_plan, base, tmp_path, method):
    """The saved student, and an adapter once it is merged, have the scaled configuration."""
    student = {"model": base, "rope_scaling": YARN, "method": method, "lora": {"r": 2}}
    made = make_student(student, None, (), 0, tmp_path / "long")
    plan = make_plan(steps=2, changes={"student": student, "base": made})
    folder = Path(train(plan, None, silent).model_dir)
    if method == "lora":
        assert json.loads((folder / "adapter_config.json").read_text())
        merge_adapter(folder, tmp_path / "merged", None, False)
        folder = tmp_path / "merged"
    config = AutoConfig.from_pretrained(folder)
    assert (config.max_position_embeddings, config.rope_parameters["factor"]) == (256, 4.0)


def test_what_cannot_be_scaled_is_refused(base, tmp_path):
    """Unknown kinds, missing settings, and models without rotary positions."""
    GPT2LMHeadModel(GPT2Config(vocab_size=9, n_embd=8, n_layer=1, n_head=1)).save_pretrained(
        tmp_path / "gpt2"
    )
    cases = [(base, {"rope_type": "yarm", "factor": 2.0}), (base, {"rope_type": "yarn"}),
             (str(tmp_path / "gpt2"), YARN)]  # fmt: skip
    for model, scaling in cases:
        with pytest.raises(RecipeError) as caught:
            make_student({"model": model, "rope_scaling": scaling}, None, (), 0, tmp_path / "out")
        assert caught.value.problems[0].key == "student.rope_scaling"
