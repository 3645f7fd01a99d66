"""The classifier before its training: an encoder with a new head over the task's labels."""

from collections.abc import Sequence
from typing import Any

import torch

from distill.errors import Problem, RecipeError
from distill.train.student import with_adapter
from teachers.errors import ConfigError
from teachers.local_loading import load_tokenizer, quiet


def headed_model(spec: Any, labels: Sequence[str], seed: int) -> tuple[Any, Any]:
    """The recipe's model with a head over the labels, and its tokenizer.

    A checkpoint that is a classifier of these very labels keeps its head; any other head is new.
    Raises: RecipeError when it cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    quiet()
    options = {"trust_remote_code": spec.trust_remote_code}
    try:
        tokenizer = load_tokenizer(spec.model, **options)
        config = AutoConfig.from_pretrained(spec.model, **options)
        known = _own_labels(config)
        kept = known is not None and sorted(known) == sorted(labels)
        names = known if kept and known is not None else list(labels)
        named = {
            "id2label": dict(enumerate(names)),
            "label2id": {label: place for place, label in enumerate(names)},
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = AutoModelForSequenceClassification.from_pretrained(
                spec.model, dtype="auto", use_safetensors=True,
                ignore_mismatched_sizes=True, **named, **options,
            )  # fmt: skip
            if known is not None and not kept:
                _renew_head(model)
    except ConfigError as exc:
        raise _wrong("model", str(exc)) from exc
    except (OSError, ValueError, ImportError, KeyError) as exc:
        first = next((line for line in str(exc).splitlines() if line.strip()), repr(exc))
        raise _wrong("model", f"{spec.model} cannot be loaded as a classifier: {first}") from exc
    return model, tokenizer


def fresh_classifier(config: Any, labels: Sequence[str], seed: int) -> Any:
    """A classifier of the configuration with random weights.

    Raises: RecipeError when it has no form with a classification head.
    """
    from transformers import AutoModelForSequenceClassification

    config.id2label = dict(enumerate(labels))
    config.label2id = {label: place for place, label in enumerate(labels)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
        except (ValueError, RuntimeError, AttributeError, TypeError, ZeroDivisionError) as exc:
            raise _wrong("config", f"no classifier can be built from it: {exc}") from exc


def add_ends(tokenizer: Any) -> None:
    """Let a tokenizer of ours put bos in front and eos at the end, as encoders expect."""
    from tokenizers.processors import TemplateProcessing

    bos, eos = tokenizer.bos_token, tokenizer.eos_token
    ends = [(bos, tokenizer.bos_token_id), (eos, tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{bos} $A {eos}", pair=f"{bos} $A {eos} $B {eos}", special_tokens=ends
    )


def fit_to_model(tokenizer: Any, config: Any) -> None:
    """Make the tokenizer cut where the model's positions end, and give both a padding token."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    text = config.get_text_config()
    for each in (config, text):
        if getattr(each, "pad_token_id", None) is None:
            each.pad_token_id = tokenizer.pad_token_id
    positions = getattr(text, "max_position_embeddings", None)
    if positions is None or positions <= 0:
        return
    # RoBERTa's family counts its positions from the padding token's id on.
    if "roberta" in text.model_type or text.model_type in ("camembert", "longformer", "mpnet"):
        positions -= (tokenizer.pad_token_id or 0) + 1
    tokenizer.model_max_length = min(tokenizer.model_max_length, positions)


def load_frame(base: str, student: Any) -> tuple[Any, Any]:
    """The tokenizer and the configuration of the untrained classifier, without its weights.

    Raises: RecipeError when they cannot be read.
    """
    from transformers import AutoConfig

    options = {"trust_remote_code": student.trust_remote_code}
    try:
        return load_tokenizer(base, **options), AutoConfig.from_pretrained(base, **options)
    except (ConfigError, OSError, ValueError) as exc:
        raise _wrong("model", str(exc)) from exc


def load_classifier(base: str, student: Any, *, cpu: bool, seed: int) -> Any:
    """The classifier to train: in float32, or with LoRA its own weights frozen.

    Raises: RecipeError when it cannot be loaded or the adapter cannot be built.
    """
    from transformers import AutoModelForSequenceClassification

    if student.method not in ("full", "lora"):
        raise _wrong("method", f"a classifier cannot be trained with {student.method}")
    half = student.method == "lora" and not cpu and torch.cuda.is_bf16_supported()
    dtype = torch.bfloat16 if half else torch.float32
    options = {"trust_remote_code": student.trust_remote_code, "use_safetensors": True}
    try:
        model = AutoModelForSequenceClassification.from_pretrained(base, dtype=dtype, **options)
    except (OSError, ValueError, ImportError, KeyError) as exc:
        raise _wrong("model", str(exc)) from exc
    # The head is new, so peft trains it whole beside the adapter.
    if student.method == "full":
        return model
    return with_adapter(model, student.lora, seed, "SEQ_CLS")


def _own_labels(config: Any) -> list[str] | None:
    """The labels of a checkpoint that is a classifier already, in the order of its head."""
    kinds = getattr(config, "architectures", None) or ()
    if not any(str(kind).endswith("ForSequenceClassification") for kind in kinds):
        return None
    return [str(config.id2label[place]) for place in sorted(config.id2label)]


def _renew_head(model: Any) -> None:
    """Draw the head anew: one of another task with as many labels would be kept otherwise."""
    for name, child in model.named_children():
        if name != model.base_model_prefix:
            for module in child.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()


def _wrong(key: str, found: str) -> RecipeError:
    problem = Problem(key=f"student.{key}", found=found)
    return RecipeError("the classifier cannot be built", [problem])
