"""Loading a transformers model or tokenizer, with errors that say what to do and without noise.

Weights are read from safetensors only. Importing this module imports no torch.
"""

import logging
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from teachers.errors import ConfigError, MissingPackage

SENTENCEPIECE = ("tokenizer.model", "spiece.model")
"""What the model behind a tokenizer.json is called."""
_SPACE = "\u2581"


def load_pretrained(
    source: str, model_options: dict[str, Any], tokenizer_options: dict[str, Any]
) -> tuple[Any, Any]:
    """The causal model and the tokenizer of a folder or hub id.

    Raises: ConfigError with what to do.
    """
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(source, **tokenizer_options)
    try:
        return AutoModelForCausalLM.from_pretrained(source, **model_options), tokenizer
    except (OSError, ValueError, ImportError, KeyError) as exc:
        raise ConfigError(_cannot_load(source, exc)) from exc


def load_tokenizer(source: str, **options: Any) -> Any:
    """The tokenizer of a folder or hub id.

    Raises: ConfigError with what to do.
    """
    from transformers import AutoTokenizer

    quiet()
    folder = Path(source).expanduser()
    if not folder.is_dir() and (folder.is_absolute() or source.startswith((".", "~"))):
        raise ConfigError(f"{source}: no such folder; give a model folder or a hub id")
    try:
        return AutoTokenizer.from_pretrained(source, **options)
    except (OSError, ValueError, ImportError, KeyError) as exc:
        raise ConfigError(_cannot_load(source, exc)) from exc


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """Writes a tokenizer's files, and the SentencePiece model that it was read beside.

    transformers writes tokenizer.json alone. llama.cpp takes the scores of the pieces from the
    model, and without them cuts texts into other pieces than were trained.
    """
    from transformers.utils import cached_file

    tokenizer.save_pretrained(folder)
    source = str(tokenizer.name_or_path)
    if not source or not any(_SPACE in piece for piece in tokenizer.get_vocab()):
        return
    for name in SENTENCEPIECE:
        found = cached_file(
            source,
            name,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        if found and Path(found).resolve() != (folder / name).resolve():
            shutil.copyfile(found, folder / name)


def quiet() -> None:
    """Turn off the progress bars and notes that transformers prints between our lines."""
    from transformers.utils import logging as theirs

    theirs.disable_progress_bar()
    theirs.set_verbosity_error()
    # DeepSpeed, which accelerate imports wherever it is installed, writes its notes on stdout.
    logging.getLogger("DeepSpeed").addFilter(_is_error)


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def _cannot_load(source: str, exc: Exception) -> str:
    why = next((line for line in str(exc).splitlines() if line.strip()), type(exc).__name__)
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    if Path(source).is_dir():
        fix = "the folder needs config.json, a tokenizer and weights as .safetensors"
    elif offline:
        fix = "HF_HUB_OFFLINE is set: give a folder, or unset it to download"
    else:
        fix = "give a model folder or a hub id that you may read"
    return f"{source}: cannot be loaded ({why.strip()[:300]}); {fix}"


def need_bitsandbytes() -> None:
    """Check that 4-bit weights can be loaded.

    Raises: MissingPackage without bitsandbytes.
    """
    if find_spec("bitsandbytes") is None:
        raise MissingPackage(
            "`quantize: 4bit` needs bitsandbytes. Type: pip install 'distill-kit[quant]'"
        )


def four_bit() -> Any:
    """The quantisation settings of `quantize: 4bit`: NF4, computed in bfloat16.

    Source: QLoRA, arXiv:2305.14314, section 3. Raises: MissingPackage without bitsandbytes.
    """
    need_bitsandbytes()
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
