"""Puts a model folder together: copies a full one, or merges an adapter and checks the result.

Only safetensors and small text files travel; nothing pickled, no optimiser state.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, RunError
from teachers.local_loading import save_tokenizer

KEPT = (
    "config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json",
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "spiece.model", "sentencepiece*.model", "chat_template*", "additional_chat_templates/*",
    "preprocessor_config.json", "processor_config.json", "adapter_config.json", "*.py",
)  # fmt: skip
"""What belongs to a model; a training folder holds more."""

LOADERS = {
    None: "AutoModelForCausalLM",
    "CAUSAL_LM": "AutoModelForCausalLM",
    "SEQ_CLS": "AutoModelForSequenceClassification",
}
"""Task of an adapter -> the class that loads its base."""

CHECKED_ROWS = 8
CHECKED_TOKENS = 256
MOST_DIFFERENCE = 0.5
"""Nats. Rounding in bfloat16 stays under it; a merge into the wrong base does not."""


@dataclass(frozen=True, slots=True)
class Merge:
    """How far the merged model is from base plus adapter."""

    base: str
    max_difference: float
    """Largest difference of a log-probability (nats) over the compared positions."""
    rows: int
    tokens: int
    """Compared positions of all rows."""


def has_adapter(model_dir: Path) -> bool:
    """Whether the folder holds a LoRA adapter and not a whole model."""
    return (model_dir / "adapter_config.json").is_file()


def copy_model(model_dir: Path, folder: Path) -> None:
    """Copies the files that make a model.

    Raises: DataError when there are no safetensors weights.
    """
    kept = sorted({path for pattern in KEPT for path in model_dir.glob(pattern) if path.is_file()})
    if not any(path.suffix == ".safetensors" for path in kept):
        problem = Problem(
            found="no weights in safetensors format",
            file=str(model_dir),
            fix="Train the student first: distill train RECIPE",
        )
        raise DataError(str(problem), [problem])
    for path in kept:
        target = folder / path.relative_to(model_dir)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def merge_adapter(
    model_dir: Path,
    folder: Path,
    base: str | None,
    trust_remote_code: bool,
    texts: Sequence[str] = (),
) -> Merge:
    """Writes base plus adapter as one model, with the tokenizer that the student was trained with.

    The weights keep the base's number format. Both are compared on the `texts`, rows of the
    student's own; on random ids where there are none.

    Raises: RunError for an adapter on a tied head, or when the merged model answers differently.
    """
    from transformers import AutoTokenizer

    source = base_of(model_dir, base)
    options = {"trust_remote_code": trust_remote_code}
    adapted = _with_adapter(model_dir, source, options)
    _refuse_tied_head(adapted, model_dir)
    own = (model_dir / "tokenizer_config.json").is_file()
    tokenizer = AutoTokenizer.from_pretrained(str(model_dir) if own else source, **options)
    rows = _rows(tokenizer, texts, adapted)
    before = _log_probabilities(adapted, rows)
    merged = adapted.merge_and_unload(safe_merge=True)
    after = _log_probabilities(merged, rows)
    difference = max(
        float((ours - theirs).abs().max()) for ours, theirs in zip(after, before, strict=True)
    )
    if not difference <= MOST_DIFFERENCE:
        problem = Problem(
            found=f"the merged model differs from base and adapter by {difference:.3g} nats",
            file=str(model_dir),
            allowed=f"at most {MOST_DIFFERENCE}",
            fix="Set export.merge: false and ship the adapter.",
        )
        raise RunError(str(problem), [problem])
    merged.save_pretrained(folder)
    if (ends := model_dir / "generation_config.json").is_file():
        shutil.copyfile(ends, folder / ends.name)
    save_tokenizer(tokenizer, folder)
    return Merge(source, difference, len(rows), sum(map(len, rows)))


def base_of(model_dir: Path, base: str | None) -> str:
    """The model that an adapter belongs to: the given one, else the one its configuration names."""
    named = json.loads((model_dir / "adapter_config.json").read_text(encoding="utf-8"))
    source = base or named.get("base_model_name_or_path")
    if source:
        return str(source)
    problem = Problem(
        found="the adapter does not say which model it belongs to",
        file=str(model_dir / "adapter_config.json"),
        key="base_model_name_or_path",
        fix="Name the base model there.",
    )
    raise DataError(str(problem), [problem])


def _with_adapter(model_dir: Path, source: str, options: dict[str, Any]) -> Any:
    import transformers
    from peft import PeftModel

    told = json.loads((model_dir / "adapter_config.json").read_text(encoding="utf-8"))
    try:
        whole = getattr(transformers, LOADERS[told.get("task_type")]).from_pretrained(
            source, dtype="auto", use_safetensors=True, **options
        )
        return PeftModel.from_pretrained(whole, str(model_dir)).eval()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first = str(error).strip().splitlines()[:1]
        problem = Problem(
            found=f"the adapter cannot be put on {source}: {first[0] if first else error!r}",
            file=str(model_dir),
            fix="Give the model that the adapter was trained on.",
        )
        raise DataError(str(problem), [problem]) from error


def _refuse_tied_head(adapted: Any, model_dir: Path) -> None:
    """A head that shares its weights with the input embeddings cannot take a change of its own."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper

    inner = adapted.get_base_model()
    if not inner.config.get_text_config().tie_word_embeddings:
        return
    changed = (BaseTunerLayer, ModulesToSaveWrapper)
    ends = (inner.get_output_embeddings(), inner.get_input_embeddings())
    if any(isinstance(end, changed) for end in ends):
        problem = Problem(
            found="the adapter changes a head that shares its weights with the input embeddings",
            file=str(model_dir),
            key="student.lora.target_modules",
            fix="Leave the head and the embeddings out of it, or set export.merge: false.",
        )
        raise RunError(str(problem), [problem])


def _rows(tokenizer: Any, texts: Sequence[str], model: Any) -> list[list[int]]:
    """Ids of a few texts, or of random tokens where there are none."""
    import torch

    found = [tokenizer(text)["input_ids"][:CHECKED_TOKENS] for text in texts[:CHECKED_ROWS]]
    if rows := [ids for ids in found if ids]:
        return rows
    size = int(model.config.get_text_config().vocab_size)
    stream = torch.Generator().manual_seed(0)
    drawn: list[list[int]] = torch.randint(size, (4, 16), generator=stream).tolist()
    return drawn


def _log_probabilities(model: Any, rows: Sequence[Sequence[int]]) -> list[Any]:
    """Log-probabilities of every next token, or label, of each row.

    Shapes: for each row (1, T, V) or (1, L), float32.
    """
    import torch

    found = []
    with torch.no_grad():
        for ids in rows:
            logits = model(input_ids=torch.tensor([ids]).to(model.device)).logits
            found.append(logits.float().log_softmax(-1).cpu())
    return found
