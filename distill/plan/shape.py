"""A model's shape: the few numbers of its configuration that decide how much memory it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parent / "shapes.yaml"
PLAIN_MLP = ("bert", "roberta", "xlm-roberta", "distilbert", "electra", "gpt2", "gpt_neox", "opt")
"""Model types whose feed-forward part has two matrices; newer ones have a gate, so three."""
BIASED_QKV = ("qwen2", "bert", "roberta", "xlm-roberta", "electra")
NAMES = {
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim"),
    "intermediate_size": ("intermediate_size", "n_inner", "ffn_dim", "hidden_dim"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads"),
    "vocab_size": ("vocab_size",),
}
"""What configurations of different model types call the same number."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A transformer, by its sizes."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool = False
    gated: bool = True
    qkv_bias: bool = False

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """The matrices of one layer: name -> (in, out)."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = {
            "q_proj": (self.hidden, q),
            "k_proj": (self.hidden, kv),
            "v_proj": (self.hidden, kv),
            "o_proj": (q, self.hidden),
        }
        up = {"up_proj": (self.hidden, self.intermediate)}
        gate = {"gate_proj": (self.hidden, self.intermediate)} if self.gated else {}
        return attention | gate | up | {"down_proj": (self.intermediate, self.hidden)}

    @property
    def in_linears(self) -> int:
        """Parameters of all layers' matrices, which is what 4-bit loading shrinks."""
        return self.layers * sum(i * o for i, o in self.linears.values())

    @property
    def parameters(self) -> int:
        """All parameters; exact for Llama's family, without position embeddings for older ones."""
        ends = self.vocab * self.hidden * (1 if self.tied else 2)
        bias = (self.heads + 2 * self.kv_heads) * self.head_dim if self.qkv_bias else 0
        norms = 2 * self.hidden * self.layers + self.hidden
        return self.in_linears + ends + bias * self.layers + norms

    @property
    def largest_module(self) -> int:
        """Parameters of the largest single module, which ZeRO-3 gathers whole."""
        return max(self.vocab * self.hidden, *(i * o for i, o in self.linears.values()))

    def lora(self, rank: int, targets: str | list[str]) -> int:
        """Parameters of an adapter of this rank on all linear layers, or on the named ones."""
        named = (
            self.linears
            if isinstance(targets, str)
            else {name: size for name, size in self.linears.items() if name in targets}
        )
        layers = self.layers * sum(rank * (i + o) for i, o in named.values())
        head = isinstance(targets, list) and "lm_head" in targets
        return layers + (rank * (self.hidden + self.vocab) if head else 0)


def shape_of(config: Mapping[str, Any]) -> Shape | None:
    """The shape that a transformers configuration tells; None where it lacks a number."""
    given = {**config, **(config.get("text_config") or {})}
    found: dict[str, int] = {}
    for key, names in NAMES.items():
        value = next((given[name] for name in names if given.get(name)), None)
        if value is None and key == "intermediate_size" and "hidden_size" in found:
            value = 4 * found["hidden_size"]
        if not isinstance(value, int):
            return None
        found[key] = value
    kind, heads = str(given.get("model_type", "")), found["num_attention_heads"]
    return Shape(
        hidden=found["hidden_size"],
        intermediate=found["intermediate_size"],
        layers=found["num_hidden_layers"],
        heads=heads,
        kv_heads=given.get("num_key_value_heads") or heads,
        head_dim=given.get("head_dim") or found["hidden_size"] // heads,
        vocab=found["vocab_size"],
        # transformers ties by default where a configuration does not say.
        tied=bool(given.get("tie_word_embeddings", kind in PLAIN_MLP)),
        gated=kind not in PLAIN_MLP,
        qkv_bias=bool(given.get("attention_bias", kind in BIASED_QKV)),
    )


@cache
def shipped_shapes() -> Mapping[str, Mapping[str, Any]]:
    """Hub id -> the keys of its configuration, for the models that ship as data."""
    found: dict[str, Any] = yaml.safe_load(SHIPPED.read_text("utf-8"))
    return found


def shipped_config(model: str) -> Mapping[str, Any] | None:
    """The configuration of a model that ships as data, also for its chat variants."""
    key = _plain(model)
    for name, config in shipped_shapes().items():
        if key == _plain(name):
            return config
    return None


def _plain(model: str) -> str:
    name = model.rsplit("/", 1)[-1].lower()
    for tail in ("-instruct", "-chat-hf", "-chat", "-hf", "-v0.1", "-v0.2", "-v0.3"):
        name = name.replace(tail, "")
    return name.replace("meta-", "")
