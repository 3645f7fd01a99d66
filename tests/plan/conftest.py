"""A tiny Llama on disk: weights, tokenizer and chat template."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
CONFIG = {
    "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
TEXTS = [f"the {word} rose is {word} in the garden" for word in ("red", "blue", "green", "old")]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A model that has learnt its four texts a little; tests copy it before they break it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from distill.train.initialise import make_student

    out = tmp_path_factory.mktemp("tiny")
    spec = {"init": "scratch", "config": CONFIG, "tokenizer": {"bpe": 300}}
    make_student(spec, None, TEXTS, 1, out)
    model = AutoModelForCausalLM.from_pretrained(out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    for _ in range(12):
        for text in TEXTS:
            turns = [
                {"role": "user", "content": "Write."},
                {"role": "assistant", "content": text},
            ]
            ids = torch.tensor([tokenizer.apply_chat_template(turns, return_dict=False)])
            model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(out)
    return out
