"""The student before its training: fresh weights in a folder, or the model that the recipe names.

Every arm of a comparison starts from the same one, and it is the report's `student_before`.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from distill.errors import Problem, RecipeError
from distill.recipe.student import BuildTokenizer, Student
from distill.recipe.suggest import did_you_mean
from distill.train.classifier_model import (
    add_ends,
    fit_to_model,
    fresh_classifier,
    headed_model,
)
from distill.train.rope import scaled_student
from distill.train.tokenizer import build_tokenizer
from teachers.local_loading import save_tokenizer

_OLD_NAMES = frozenset({"rope_theta", "rope_scaling", "torch_dtype", "dtype"})
"""Configuration keys that transformers renames while reading."""
_SPECIALS = ("bos_token_id", "eos_token_id", "pad_token_id")


def make_student(
    student: Mapping[str, Any],
    tokenizer_source: str | None,
    texts: Iterable[str],
    seed: int,
    out: Path,
    *,
    words: Iterable[str] = (),
    labels: Sequence[str] = (),
) -> str:
    """The folder or hub id of the untrained student.

    `out` is written for fresh weights, scaled positions, and a classifier, whose head over the
    `labels` is new.
    `tokenizer_source` is the folder or hub id behind `student.tokenizer` where that is not
    `{bpe: SIZE}`; then `texts` and the labels in `words` make the tokenizer.
    Raises: RecipeError when the configuration cannot be built.
    """
    spec: Any = TypeAdapter(Student).validate_python(dict(student))
    if spec.kind == "classifier":
        return _make_classifier(spec, tokenizer_source, texts, labels, seed, out)
    if spec.init is None:
        if spec.rope_scaling:
            return scaled_student(str(spec.model), spec.rope_scaling, spec.trust_remote_code, out)
        return str(spec.model)
    tokenizer, generation = _tokenizer(spec, tokenizer_source, texts, words)
    model = _fresh_model(_config(spec.config, tokenizer), seed)
    model.generation_config = _generation_config(tokenizer, generation)
    out.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, out)
    model.save_pretrained(out)
    return str(out)


def _make_classifier(
    spec: Any, source: str | None, texts: Iterable[str], labels: Sequence[str], seed: int, out: Path
) -> str:
    if spec.init is None:
        model, tokenizer = headed_model(spec, labels, seed)
    else:
        tokenizer, _ = _tokenizer(spec, source, texts, ())
        if isinstance(spec.tokenizer, BuildTokenizer):
            add_ends(tokenizer)
        model = fresh_classifier(_config(spec.config, tokenizer), labels, seed)
    fit_to_model(tokenizer, model.config)
    out.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, out)
    model.save_pretrained(out)
    return str(out)


def _tokenizer(
    spec: Any, source: str | None, texts: Iterable[str], words: Iterable[str]
) -> tuple[Any, Any]:
    """The tokenizer, and the generation settings that lie beside it where it came from."""
    from transformers import GenerationConfig

    from teachers.local_loading import load_tokenizer, quiet

    quiet()
    if isinstance(spec.tokenizer, BuildTokenizer):
        return build_tokenizer(texts, spec.tokenizer.bpe, words), None
    source = source or spec.tokenizer
    try:
        tokenizer = load_tokenizer(source, trust_remote_code=spec.trust_remote_code)
    except ValueError as exc:
        raise _wrong("tokenizer", str(exc)) from exc
    try:
        return tokenizer, GenerationConfig.from_pretrained(source)
    except OSError:
        return tokenizer, None


def _config(given: Mapping[str, Any] | str, tokenizer: Any) -> Any:
    from transformers import AutoConfig

    if isinstance(given, str):
        try:
            config = AutoConfig.from_pretrained(given)
        except (OSError, ValueError) as exc:
            raise _wrong("config", f"{given} cannot be read: {exc}") from exc
        set_keys = set(config.to_diff_dict())
    else:
        config, set_keys = _from_mapping(dict(given)), set(given)
    if "vocab_size" not in set_keys:
        config.vocab_size = len(tokenizer)
    elif config.vocab_size < len(tokenizer):
        raise _wrong(
            "config.vocab_size",
            f"{config.vocab_size} is less than the tokenizer's {len(tokenizer)} tokens",
            fix="Leave vocab_size out: it is taken from the tokenizer.",
        )
    for name in _SPECIALS:
        if name not in set_keys:
            setattr(config, name, getattr(tokenizer, name))
    return config


def _from_mapping(given: dict[str, Any]) -> Any:
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = given.pop("model_type", None)
    if kind not in CONFIG_MAPPING:
        fix = did_you_mean(str(kind), CONFIG_MAPPING.keys()) or "For example: llama."
        raise _wrong("config.model_type", f"unknown model_type {kind!r}", fix=fix)
    known = AutoConfig.for_model(kind)
    # transformers keeps keys that it does not know without a word.
    for key in given:
        if not hasattr(known, key) and key not in _OLD_NAMES:
            near = did_you_mean(key, known.to_dict())
            raise _wrong(f"config.{key}", f"{kind} has no setting {key!r}", fix=near)
    try:
        return AutoConfig.for_model(kind, **given)
    except Exception as exc:  # transformers checks fields with exceptions of several libraries
        raise _wrong("config", f"not a configuration of {kind}: {exc}") from exc


def _fresh_model(config: Any, seed: int) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        except (ValueError, RuntimeError, AttributeError, TypeError, ZeroDivisionError) as exc:
            raise _wrong("config", f"no model can be built from it: {exc}") from exc


def _generation_config(tokenizer: Any, source: Any) -> Any:
    from transformers import GenerationConfig

    from teachers.chat_format import end_ids

    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(end_ids(tokenizer, source)) or None,
        pad_token_id=tokenizer.pad_token_id,
    )


def _wrong(key: str, found: str, fix: str | None = None) -> RecipeError:
    problem = Problem(key=f"student.{key}", found=found, fix=fix)
    return RecipeError("the student cannot be built", [problem])
