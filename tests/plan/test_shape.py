"""The shapes that ship as data, and what is read from other configurations."""

import pytest

from distill.plan.shape import shape_of, shipped_config, shipped_shapes


@pytest.mark.parametrize("name", shipped_shapes())
def test_the_formula_counts_every_parameter(name):
    """The published number of parameters comes out exactly."""
    config = shipped_shapes()[name]
    assert shape_of(config).parameters == config["parameters"]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B"),
        ("meta-llama/Meta-Llama-3.1-70B", "meta-llama/Llama-3.1-70B"),
        ("Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-7B-v0.1"),
        ("meta-llama/Llama-2-13b-chat-hf", "meta-llama/Llama-2-13b-hf"),
    ],
)
def test_chat_variants_have_the_shape_of_their_base(asked, meant):
    """The same sizes under another name."""
    assert shipped_config(asked) == shipped_shapes()[meant]


def test_what_no_configuration_tells():
    """A missing number gives no shape, and an unknown model none either."""
    assert shape_of({"model_type": "llama", "hidden_size": 8}) is None
    assert shipped_config("some/model") is None


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama", "num_key_value_heads": 2, "tie_word_embeddings": True},
        {"model_type": "qwen2", "num_key_value_heads": 2, "tie_word_embeddings": False},
    ],
)
def test_a_built_model_has_as_many(config):
    """transformers builds just as many parameters, and peft as many of an adapter."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 100,
    }  # fmt: skip
    plain = {**sizes, **config}
    kind = plain.pop("model_type")
    shape = shape_of({**plain, "model_type": kind})
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **plain))
    assert shape.parameters == sum(p.numel() for p in model.parameters())
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, lora)
    learnt = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert shape.lora(4, "all-linear") == learnt
