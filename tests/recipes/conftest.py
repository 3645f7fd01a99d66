"""A tiny language model in a folder, built in code, that stands in for the recipes' students."""

import importlib.util
import os
import sys
from pathlib import Path

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


TEXT = Path(__file__).resolve().parents[2] / "recipes/summarize/articles.jsonl"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The folder of a Llama of some thousand weights that knows which letters are frequent."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from distill.train.initialise import make_student

    text = TEXT.read_text()
    spec = {"init": "scratch", "config": CONFIG, "tokenizer": {"bpe": 320}}
    folder = Path(make_student(spec, None, [text], 1, tmp_path_factory.mktemp("tiny")))
    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt").input_ids[:, :1024]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(12):  # a teacher of probabilities has to know more than a guess
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def project():
    """The command in this process, as the tests of the run have it."""
    path = Path(__file__).resolve().parents[1] / "run/project.py"
    spec = importlib.util.spec_from_file_location("recipes_project", path)
    module = sys.modules["recipes_project"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
