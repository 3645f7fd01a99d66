"""Tiny Llama models with a tokenizer of their own, whole and as adapters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WORDS = ["<unk>", "<s>", "</s>", "billing", "bug", "a", "b", "c"]


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes an untrained Llama; `tied` shares head and embeddings."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    def write(name: str = "student", *, tied: bool = False, seed: int = 0) -> Path:
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=64, tie_word_embeddings=tied,
            eos_token_id=2, bos_token_id=1,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        model.save_pretrained(tmp_path / name)
        core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
        core.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
        )
        tokenizer.chat_template = "{{ messages[0].content }}"
        tokenizer.save_pretrained(tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def adapter_folder(tmp_path: Path) -> Callable[..., Path]:
    """Puts a LoRA with random weights on a base and writes only the adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def write(base: Path, targets: list[str], name: str = "adapter") -> Path:
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_pretrained(base)
        options: dict[str, Any] = {"r": 2, "target_modules": targets, "init_lora_weights": False}
        get_peft_model(model, LoraConfig(**options)).save_pretrained(tmp_path / name)
        return tmp_path / name

    return write
