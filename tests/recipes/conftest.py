"""A tiny language model in a folder, built in code, that stands in for the recipes' students."""

import os

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

CONFIG = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a Llama of some thousand weights with a byte-level tokenizer of its own."""
    from distill.train.initialise import make_student

    texts = ["Read the text, grade the response, answer the question: yes, no, 1, 2, 3, 4, 5."]
    spec = {"init": "scratch", "config": CONFIG, "tokenizer": {"bpe": 320}}
    return make_student(spec, None, texts, 1, tmp_path_factory.mktemp("tiny"))
