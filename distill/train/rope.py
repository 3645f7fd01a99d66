"""A longer context: the same weights behind a configuration whose rotary positions are scaled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.errors import Problem, RecipeError

OLD_LENGTH = "original_max_position_embeddings"
KNOWS_OLD_LENGTH = ("yarn", "dynamic", "longrope", "llama3")
FILES = ("*.safetensors", "*.json", "*.model", "*.txt", "*.jinja", "*.py")
"""What of a hub id's files makes a model."""


def scaled_student(
    base: str, scaling: Mapping[str, Any], trust_remote_code: bool, out: Path
) -> str:
    """Writes a folder with the scaled configuration and links to everything else of the model.

    `scaling` holds transformers' rope parameters, for example {rope_type: yarn, factor: 4.0}; the
    model's own stay where nothing is said. The context grows by `factor`.
    Raises: RecipeError when the model has no rotary positions or they cannot be scaled so.
    """
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(base, trust_remote_code=trust_remote_code)
    text = config.get_text_config()
    own = getattr(text, "rope_parameters", None)
    old = getattr(text, "max_position_embeddings", None)
    if not own or not old:
        raise _wrong(f"{base} ({config.model_type}) has no rotary positions to scale")
    if "rope_type" not in own:
        raise _wrong(f"{base} has several kinds of layers, each with rotary positions of its own")
    given = dict(scaling)
    kind, factor = str(given.get("rope_type")), float(given.get("factor", 1.0))
    if kind in KNOWS_OLD_LENGTH:
        given.setdefault(OLD_LENGTH, old)
    text.rope_parameters = {**own, **given}
    # `dynamic` works out its own factor from the length that it meets.
    text.max_position_embeddings = old if kind == "dynamic" else int(old * factor)
    _check(text, kind)
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(_folder(base).iterdir()):
        link = out / file.name
        if file.is_file() and file.name != "config.json" and not link.exists():
            link.symlink_to(file.resolve())
    config.save_pretrained(out)
    return str(out)


def _check(config: Any, kind: str) -> None:
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    known = sorted(ROPE_INIT_FUNCTIONS)
    if kind not in known:
        raise _wrong(f"unknown rope_type {kind!r}", ", ".join(known))
    try:
        config.standardize_rope_params()
        config.validate_rope()
        ROPE_INIT_FUNCTIONS[kind](config, device="cpu")
    except (KeyError, ValueError, TypeError, AttributeError) as exc:
        raise _wrong(f"{kind} cannot be set up: {type(exc).__name__}: {exc}") from exc


def _folder(base: str) -> Path:
    if Path(base).is_dir():
        return Path(base)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(base, allow_patterns=list(FILES)))


def _wrong(found: str, allowed: str | None = None) -> RecipeError:
    problem = Problem(
        key="student.rope_scaling",
        found=found,
        allowed=allowed,
        fix="For example {rope_type: yarn, factor: 2.0}.",
    )
    return RecipeError("the student's context cannot be lengthened", [problem])
