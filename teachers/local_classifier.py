"""A sequence classifier in this process: chooses among the labels that its head has.

Shapes: B rows, T tokens, L labels.
"""

import gc
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from teachers import chat_format
from teachers.errors import ConfigError
from teachers.local_loading import load_tokenizer, quiet
from teachers.protocol import Message
from teachers.threads import fit_threads

BATCH_TOKENS = 8192
"""Tokens, padding included, of one forward pass."""
HEADS = "ForSequenceClassification"


def is_classifier(source: str) -> bool:
    """Whether a folder holds a sequence classifier, or an adapter of one; a hub id is none."""
    folder = Path(source)
    for name in ("adapter_config.json", "config.json"):
        try:
            told = json.loads((folder / name).read_text("utf-8"))
        except (OSError, ValueError):
            continue
        if "peft_type" in told:
            return bool(told.get("task_type") == "SEQ_CLS")
        return any(str(kind).endswith(HEADS) for kind in told.get("architectures") or ())
    return False


def classifier_text(messages: Sequence[Message]) -> str:
    """What a classifier reads of a conversation: its turns, joined by blank lines."""
    return chat_format.TURN_BREAK.join(turn.content for turn in messages)


def classifier_ids(tokenizer: Any, text: str, max_length: int | None = None) -> list[int]:
    """The ids that a classifier reads, with the tokenizer's own special tokens.

    A text longer than the tokenizer's `model_max_length` (or `max_length`) is cut.
    """
    limit = min(max_length or tokenizer.model_max_length, tokenizer.model_max_length)
    ids: list[int] = tokenizer(text, truncation=True, max_length=limit)["input_ids"]
    return ids


class LocalClassifier:
    """A sequence classifier with its tokenizer; build it with `load`."""

    context: int | None = None
    """Longer texts are cut, so none is too long."""

    def __init__(self, model: Any, tokenizer: Any, *, source: str) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.source = source
        names: dict[str, int] = model.config.label2id
        self.labels = {str(label): int(place) for label, place in names.items()}
        fit_threads(model.num_parameters())

    @classmethod
    def load(
        cls,
        source: str,
        *,
        dtype: Literal["float32", "bfloat16", "float16", "auto"] = "auto",
        device_map: str | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        **_: Any,
    ) -> "LocalClassifier":
        """The classifier in a folder, whole or as an adapter on its base.

        Raises: ConfigError when it cannot be loaded.
        """
        import torch

        quiet()
        options = {"trust_remote_code": trust_remote_code}
        tokenizer = load_tokenizer(source, **options)
        more = {"revision": revision, "dtype": dtype, "device_map": device_map}
        try:
            model = _whole_or_adapted(source, options | more)
        except (OSError, ValueError, ImportError, KeyError, RuntimeError) as exc:
            first = next((line for line in str(exc).splitlines() if line.strip()), repr(exc))
            raise ConfigError(f"{source}: the classifier cannot be loaded ({first})") from exc
        if device_map is None and torch.cuda.is_available():
            model = model.to("cuda")
        return cls(model, tokenizer, source=source)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The ids of a conversation."""
        return classifier_ids(self.tokenizer, classifier_text(messages))

    def choice_logp(
        self, prompts: Sequence[Sequence[int]], choices: Sequence[str]
    ) -> list[dict[str, float]]:
        """Per prompt the normalised log-probability of every choice.

        Raises: ConfigError when a choice is none of the head's labels.
        """
        import torch

        if unknown := [choice for choice in choices if choice not in self.labels]:
            raise ConfigError(
                f"{self.source}: the classifier does not know {', '.join(unknown)} "
                f"(it knows {', '.join(self.labels)})"
            )
        columns = [self.labels[choice] for choice in choices]
        found: dict[int, dict[str, float]] = {}
        for batch in _batches(prompts):
            logits_BL = self._logits([prompts[row] for row in batch])[:, columns].double()
            for row, logp in zip(batch, torch.log_softmax(logits_BL, -1).tolist(), strict=True):
                found[row] = dict(zip(choices, logp, strict=True))
        return [found[row] for row in range(len(prompts))]

    def generate(self, *_: Any, **__: Any) -> Any:
        """Nothing: a classifier writes no text.

        Raises: ConfigError always.
        """
        raise ConfigError(f"{self.source}: a classifier can only choose among labels")

    def release(self) -> None:
        """Give back the memory of the weights."""
        del self.model
        gc.collect()

    def _logits(self, ids: Sequence[Sequence[int]]) -> Any:
        import torch

        padded = self.tokenizer.pad({"input_ids": [list(row) for row in ids]}, return_tensors="pt")
        inputs = {
            name: padded[name].to(self.model.device) for name in ("input_ids", "attention_mask")
        }
        with torch.inference_mode():
            return self.model(**inputs).logits.float().cpu()


def _whole_or_adapted(source: str, options: dict[str, Any]) -> Any:
    from transformers import AutoModelForSequenceClassification

    adapter = Path(source) / "adapter_config.json"
    base = source
    if adapter.is_file():
        base = json.loads(adapter.read_text("utf-8"))["base_model_name_or_path"]
    model = AutoModelForSequenceClassification.from_pretrained(
        base, use_safetensors=True, **options
    )
    if not adapter.is_file():
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, source)


def _batches(prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows of similar length together, each batch within the token budget."""
    order = sorted(range(len(prompts)), key=lambda row: (len(prompts[row]), row))
    batches: list[list[int]] = [[]]
    for row in order:
        if batches[-1] and len(prompts[row]) * (len(batches[-1]) + 1) > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(row)
    return batches if prompts else []
