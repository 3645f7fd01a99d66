"""A byte-level vocabulary, a teacher that knows which token follows which, and rows of it."""

import os

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

PADDED = 272


@pytest.fixture(scope="session")
def tokenizer():
    """256 bytes, an end token and an unknown one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<unk>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("a", "b")]
    pieces += ["ab", "é".encode().decode("latin-1")]
    inner = Tokenizer(models.BPE({piece: at for at, piece in enumerate(pieces)}, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>")


@pytest.fixture(scope="session")
def make_teacher(tokenizer):
    """Builds a one-layer model whose next token is the present one plus `step`.

    Layers add nothing to the embeddings, and the head holds each token's predecessor. The head is
    wider than the vocabulary, and its padding has logits like any other column's.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from teachers.local_model import LocalModel

    torch.set_num_threads(1)

    def make(step=1, other=None, sharpness=0.8):
        torch.manual_seed(0)
        size = len(tokenizer)
        config = LlamaConfig(
            hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
            vocab_size=PADDED, max_position_embeddings=96, eos_token_id=1, bos_token_id=None,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            layer = model.model.layers[0]
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
            table = torch.nn.functional.normalize(torch.randn(PADDED, 64), dim=-1) * 8
            model.model.embed_tokens.weight.copy_(table)
            before = (torch.arange(size) - step) % size
            model.lm_head.weight[:size] = table[before] * sharpness / 8
            model.lm_head.weight[size:] = table[size:] * sharpness / 8
        return LocalModel(model, other or tokenizer, source=f"plus-{step}", chat=False)

    return make


@pytest.fixture(scope="session")
def teacher(make_teacher):
    """The teacher of all rows."""
    return make_teacher()


@pytest.fixture
def make_rows(tokenizer):
    """Makes rows whose tokens count up, from different starts and of different lengths."""
    from distill.signals.types import SignalRow

    def make(count, seed=0):
        rng = np.random.default_rng(seed)
        rows = []
        for at in range(count):
            start, length = rng.integers(0, 250), 5 + 7 * (at % 5)
            ids = (start + np.arange(length)) % len(tokenizer)
            rows.append(SignalRow.of(f"row-{at}", ids.tolist(), [p >= 3 for p in range(length)]))
        return rows

    return make
