"""The student as the trainer needs it: loaded in the right precision, with LoRA if asked for."""

from dataclasses import fields
from typing import Any

import torch

from distill.errors import Problem, RecipeError
from distill.recipe.student import LoraOptions
from distill.recipe.suggest import did_you_mean
from distill.train.fused_head import PROJECTOR
from teachers.errors import ConfigError
from teachers.local_loading import load_pretrained, load_tokenizer

_LORA_NAMES = {"alpha": "lora_alpha", "dropout": "lora_dropout"}


def load_student_tokenizer(base: str, student: Any) -> tuple[Any, Any]:
    """The tokenizer of the untrained student, and its generation settings where it has any."""
    from transformers import GenerationConfig

    try:
        tokenizer = load_tokenizer(base, trust_remote_code=student.trust_remote_code)
    except ConfigError as exc:
        raise _wrong("model", str(exc)) from exc
    try:
        return tokenizer, GenerationConfig.from_pretrained(base)
    except OSError:
        return tokenizer, None


def load_student(base: str, student: Any, *, cpu: bool, seed: int) -> Any:
    """The model to train; with LoRA its own weights are frozen and an adapter is put on.

    The adapter starts from the seed alone, whatever was drawn in this process before.

    Raises: RecipeError when it cannot be loaded or the adapter cannot be built.
    """
    if student.method not in ("full", "lora", "qlora"):
        raise _wrong("method", f"{student.method} is not built yet", "Use full, lora or qlora.")
    # Trained weights stay in float32 and are only computed with in bfloat16, so that small updates
    # are not rounded away; LoRA's frozen ones need no such care.
    half = student.method != "full" and not cpu and torch.cuda.is_bf16_supported()
    shared = {"trust_remote_code": student.trust_remote_code}
    options: dict[str, Any] = {
        "dtype": torch.bfloat16 if half else torch.float32,
        "use_safetensors": True,
    }
    if student.attention:
        options["attn_implementation"] = student.attention
    if student.method == "qlora":
        options["quantization_config"] = _four_bit(student.quantization)
    try:
        model, _ = load_pretrained(base, shared | options, shared)
    except ConfigError as exc:
        raise _wrong("model", str(exc)) from exc
    return model if student.method == "full" else with_adapter(model, student.lora, seed)


def trainable(model: Any) -> tuple[int, float]:
    """How many parameters are trained, and their share of all."""
    sizes = [
        (_size(p), p.requires_grad)
        for name, p in model.named_parameters()
        if PROJECTOR not in name  # which is not part of the student
    ]
    learnt = sum(size for size, trained in sizes if trained)
    return learnt, learnt / sum(size for size, _ in sizes)


def _size(parameter: Any) -> int:
    # Under ZeRO-3 a parameter is empty outside its own forward pass.
    size: int = getattr(parameter, "ds_numel", parameter.numel())
    if type(parameter).__name__ == "Params4bit":  # two weights to a byte of its storage type
        size *= 2 * int(parameter.quant_storage.itemsize)
    return size


def _four_bit(given: dict[str, Any]) -> Any:
    """4-bit NF4 as in Dettmers et al. 2023, arXiv:2305.14314.

    Stored as bfloat16, so that ZeRO-3 can shard it together with the other weights.
    """
    from transformers import BitsAndBytesConfig

    known = {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "bfloat16",
        "bnb_4bit_quant_storage": "bfloat16",
    }
    try:
        return BitsAndBytesConfig(**{**known, **given})
    except (TypeError, ValueError, AttributeError, ImportError) as exc:
        raise _wrong("quantization", f"transformers refuses it: {exc}") from exc


def with_adapter(model: Any, options: LoraOptions, seed: int, task_type: str = "CAUSAL_LM") -> Any:
    """The model with a LoRA adapter put on and its own weights frozen.

    Raises: RecipeError for options that peft does not take.
    """
    from peft import LoraConfig, get_peft_model

    given = {_LORA_NAMES.get(key, key): value for key, value in options.model_dump().items()}
    known = {field.name for field in fields(LoraConfig)}
    for key in given:
        if key not in known:
            raise _wrong(
                f"lora.{key}", f"not a key of LoraConfig: {key!r}", did_you_mean(key, known)
            )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return get_peft_model(model, LoraConfig(**{"task_type": task_type, **given}))
    except (ValueError, TypeError) as exc:
        raise _wrong("lora", f"peft cannot put the adapter on: {exc}") from exc


def _wrong(key: str, found: str, fix: str | None = None) -> RecipeError:
    problem = Problem(key=f"student.{key}", found=found, fix=fix)
    return RecipeError("the student cannot be loaded", [problem])
