"""Tiny local models behind the real LocalModel, and a teacher that answers from a table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from teachers.errors import TeacherError
from teachers.protocol import Answer, Ask, Usage


@dataclass
class TableTeacher:
    """Answers the last message from a table; what is not in it fails as a server error."""

    table: Mapping[str, str]
    name: str = "table"
    logp: Mapping[str, float] | None = None
    asked: list[Ask] = field(default_factory=list)

    async def ask(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        text = self.table.get(ask.messages[-1].content)
        if text is None:
            raise TeacherError("server", "down")
        return Answer(text, "stop", Usage(5, 1), "table", choice_logp=self.logp, cost_usd=0.001)

    async def close(self) -> None:
        pass


@pytest.fixture
def table_teacher() -> Callable[..., TableTeacher]:
    return TableTeacher


@pytest.fixture
def tiny_model() -> Callable[..., Any]:
    """Builds a LocalModel: an untrained Llama whose head may be wider than its vocabulary."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from teachers.local_model import LocalModel

    def build(seed: int, *, words: int = 20, width: int = 20, layers: int = 1) -> LocalModel:
        torch.manual_seed(seed)
        config = LlamaConfig(
            vocab_size=width, hidden_size=16, intermediate_size=32, num_hidden_layers=layers,
            num_attention_heads=2, max_position_embeddings=64,
        )  # fmt: skip
        vocabulary = {"</s>": 0, **{f"w{place}": place for place in range(1, words)}}
        core = Tokenizer(models.WordLevel(vocabulary, unk_token="</s>"))
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")
        return LocalModel(LlamaForCausalLM(config), tokenizer, source="tiny", chat=False)

    return build
