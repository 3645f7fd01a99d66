"""Stage keys: what a stage depends on, as a hash. A stage whose key is unchanged is not done again.

Excluded on purpose: prices, concurrency, rate limits, addresses and keys of teachers, the budget,
and how a stage is carried out. Answers are never part of a key: they come from the store.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from distill.recipe.files import locate, text_of
from distill.recipe.generation import AskField, RenderField, SampleField
from distill.recipe.schema import Recipe
from distill.rows.row import digest
from teachers.config import TeacherConfig

FORMAT = 1
"""Raise it when a stage's output for the same key would change."""

TRANSPORT = {
    "concurrency", "rpm", "tpm", "price", "timeout_s", "mode", "base_url", "api_key_env",
    "headers_env", "latency_s", "device_map",
}  # fmt: skip


def teacher_settings(config: TeacherConfig) -> dict[str, Any]:
    """What decides a teacher's answers, without how it is reached."""
    return {
        name: value
        for name, value in config.model_dump(mode="json").items()
        if name not in TRANSPORT
    }


def file_digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder by relative name."""
    if path.is_dir():
        names = sorted(p for p in path.rglob("*") if p.is_file())
        return digest([[str(p.relative_to(path)), file_digest(p)] for p in names])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_digest(recipe: Recipe, name: str) -> str | None:
    """Hash of one of the recipe's data files, None where it names none."""
    ref = getattr(recipe.data, name)
    return file_digest(locate(recipe, ref)) if ref else None


def _field(recipe: Recipe, spec: Any) -> dict[str, Any]:
    plain: dict[str, Any] = spec.model_dump(mode="json", by_alias=True)
    match spec:
        case AskField():
            plain["prompt"] = text_of(recipe, spec.prompt)
        case RenderField():
            plain["render"] = text_of(recipe, spec.render)
        case SampleField(sample=str() as source) if source not in ("labels", "seeds", "accepted"):
            plain["sample"] = file_digest(locate(recipe, source))
    return plain


def asked_teachers(recipe: Recipe) -> list[str]:
    """Names of the teachers that generation asks, in order of first use."""
    fields = recipe.generate.fields.values() if recipe.generate else ()
    names = [spec.ask for spec in fields if isinstance(spec, AskField)]
    return list(dict.fromkeys(names))


def generate_slice(recipe: Recipe) -> dict[str, Any]:
    """What generation depends on; with a target, also on the filters that decide what counts."""
    assert recipe.generate is not None
    plain = recipe.generate.model_dump(mode="json", exclude={"fields", "max_failed", "ask"})
    # Not a mapping: the order of fields decides which of them a prompt may name.
    plain["fields"] = [
        [name, _field(recipe, spec)] for name, spec in recipe.generate.fields.items()
    ]
    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "task": recipe.task.model_dump(mode="json", by_alias=True, exclude={"prompt", "system"}),
        "generate": plain,
        "data": {name: data_digest(recipe, name) for name in ("seeds", "pool", "documents")},
        "teachers": {
            name: teacher_settings(recipe.teachers[name]) for name in asked_teachers(recipe)
        },
        "filter": filter_slice(recipe) if recipe.generate.accept else None,
    }


def filter_slice(recipe: Recipe) -> dict[str, Any]:
    """What the verdicts depend on."""
    return {
        "format": FORMAT,
        "filter": [spec.model_dump(mode="json", by_alias=True) for spec in recipe.filter],
        "gold": data_digest(recipe, "gold"),
        "student": recipe.student.model_dump(mode="json")
        if recipe.student and _counts_tokens(recipe.filter)
        else None,
    }


def _counts_tokens(filters: Iterable[Any]) -> bool:
    return any(getattr(spec, "tokens", None) for spec in filters)


def split_slice(recipe: Recipe) -> dict[str, Any]:
    """What the dataset's files depend on."""
    task = recipe.task.model_dump(mode="json", by_alias=True)
    task["prompt"] = text_of(recipe, recipe.task.prompt) if recipe.task.prompt else None
    split = recipe.split.model_dump(mode="json") if recipe.split else None
    return {"format": FORMAT, "seed": recipe.seed, "task": task, "split": split}


def train_slice(recipe: Recipe) -> dict[str, Any]:
    """What the students depend on beside the dataset."""
    assert recipe.student is not None
    assert recipe.train is not None
    evaluate = recipe.evaluate
    return {
        "format": FORMAT,
        "seed": recipe.seed,
        "student": recipe.student.model_dump(mode="json", exclude={"price"}),
        "train": recipe.train.model_dump(
            mode="json", by_alias=True, exclude={"processes", "micro_batch"}
        ),
        "arms": sorted(evaluate.compare) if evaluate else [],
        "seeds": evaluate.seeds if evaluate else 1,
        "confident": evaluate.confident if evaluate else None,
    }


def evaluate_slice(recipe: Recipe) -> dict[str, Any]:
    """What the figures depend on beside the students."""
    evaluate = recipe.evaluate
    return {
        "format": FORMAT,
        "evaluate": evaluate.model_dump(mode="json", exclude={"require"}) if evaluate else None,
        "gold": data_digest(recipe, "gold"),
        "price": recipe.student.model_dump(mode="json")["price"] if recipe.student else None,
        "teachers": {name: teacher_settings(config) for name, config in recipe.teachers.items()},
    }


def recipe_hash(recipe: Recipe) -> str:
    """Hash of the resolved recipe, as the report and the model card give it."""
    return digest(recipe.as_dict())
