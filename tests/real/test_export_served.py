"""An exported student behind a server of others: `transformers serve` loads it and answers."""

import json
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from distill.export.stage import export
from distill.recipe.schema import Export

PROMPT = {
    "task": {"kind": "generate", "input": "input", "output": "output", "system": None},
    "template": "{{ input }}",
}


@pytest.fixture
def student(real, tmp_path):
    """A LoRA student of a real model, merged and exported."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = real / "models" / "babyllama-tok361"
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(source)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=1e-3)
    adapted.save_pretrained(tmp_path / "adapter")
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "adapter")
    lineage = {"base": str(source), "method": "lora"}
    texts = ["Once upon a time there was a little girl."]
    made = export(tmp_path / "adapter", tmp_path / "student", Export(), PROMPT, lineage, texts)
    assert made.merged is not None
    assert made.merged.max_difference < 1e-3
    return made.folder


def test_transformers_serve_answers_from_the_exported_folder(student, start, until_up, tmp_path):
    """The folder as it lies: loaded by the server, and a story goes on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        Path(sys.executable).with_name("transformers"), "serve", student, "--device", "cpu",
        "--port", port,
    ]  # fmt: skip
    log = tmp_path / "server.log"
    asked = {"model": str(student), "prompt": "Once upon a time", "max_tokens": 12}
    with log.open("w") as file, start(*command, cwd=tmp_path, stdout=file, stderr=file) as server:
        until_up(f"http://127.0.0.1:{port}/health", server, log, timeout=120)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/completions",
            data=json.dumps(asked).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            told = json.load(response)
    assert told["choices"][0]["text"].strip()
