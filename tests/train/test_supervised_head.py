"""Only supervised positions pass the output layer, and nothing else changes."""

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, LlamaConfig

from distill.train.supervised_head import SupervisedHead

SIZE = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 8}
CONFIGS = {
    "tied": LlamaConfig(vocab_size=50, tie_word_embeddings=True, **SIZE, **HEADS),
    "untied": LlamaConfig(vocab_size=50, tie_word_embeddings=False, **SIZE, **HEADS),
    "gpt2": GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=32),
    "soft cap": Gemma2Config(vocab_size=50, final_logit_softcapping=3.0, **SIZE, **HEADS),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_and_gradients_are_those_of_the_whole(name):
    """The cut in front of the head gives what cutting the whole logits gives, gradients too."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
    ids = torch.randint(50, (3, 6))
    labels = ids.where(torch.rand(3, 6) < 0.5, -100)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    keep = labels[:, 1:] != -100
    whole = model(input_ids=ids).logits[:, :-1][keep]
    whole.square().sum().backward()
    want = {key: value.grad.clone() for key, value in model.named_parameters()}
    model.zero_grad()
    head = SupervisedHead(model)
    widths = []
    model.get_output_embeddings().register_forward_hook(lambda *a: widths.append(a[2].shape))
    got = head.logits(model, inputs)
    got.square().sum().backward()
    torch.testing.assert_close(got, whole)
    assert widths == [(int(keep.sum()), 50)]
    for key, value in model.named_parameters():
        torch.testing.assert_close(value.grad, want[key], atol=1e-4, rtol=1e-4)
    assert model(input_ids=ids).logits.shape == (3, 6, 50)
