"""Writes the student's folder: model, tokenizer, distill.json and card, whole or not at all."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from distill.errors import DataError, Problem, UsageError
from distill.export.card import model_card, origin, shown
from distill.export.gguf import find_converter, write_gguf
from distill.export.weights import Merge, copy_model, has_adapter, merge_adapter
from distill.judge.form import form_hash
from distill.recipe.schema import Export
from distill.rows.atomic import storage_error, sync_path

FORMAT = 1


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What was written."""

    folder: Path
    merged: Merge | None
    """None when the model was copied as it was."""
    files: list[str]
    """Paths inside the folder, sorted."""


def export(
    model_dir: Path | None,
    out: Path,
    spec: Export,
    task_prompt: Mapping[str, Any],
    lineage: Mapping[str, Any],
    texts: Sequence[str] = (),
) -> ExportResult:
    """Writes a folder that AutoModelForCausalLM.from_pretrained loads, replacing an earlier one.

    Args:
        model_dir: a saved model, or a LoRA adapter (merged into its base where `spec.merge`); None
            where a service holds the weights, so that the folder says how to ask it.
        out: the folder to write; it must not be `model_dir` or lie in it.
        spec: the recipe's `export`.
        task_prompt: TaskPrompt.as_dict().
        lineage: all optional: name, recipe_hash, seed, base (hub id or folder that an adapter is
            merged into), model (what the student started from, None for scratch; absent: base),
            method, kind (causal | classifier), trust_remote_code, max_tokens, teachers
            [{name, model}], signal (in words), versions {package: version}, report (report.json
            so far, for row counts and figures), hosted (an `openai` teacher's settings).
        texts: a few rows of the student's own, on which a merge is compared with base and adapter.

    Raises: DataError without a model, PrerequisiteError without a converter, RunError when a merge
    or the disk fails.
    """
    if model_dir is not None:
        _check_places(model_dir, out, spec)
    fresh = out.with_name(f".{out.name}.writing")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        merge = None
        if model_dir is not None:
            merge = _write_weights(model_dir, fresh, spec, lineage, texts)
        if model_dir is not None and "gguf" in spec.formats:
            write_gguf(fresh, out.name)
        facts = _facts(task_prompt, lineage, merge)
        text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)
        (fresh / "distill.json").write_text(f"{text}\n", encoding="utf-8")
        if spec.card:
            card = model_card(out.name, task_prompt, lineage, spec.license, merge)
            (fresh / "README.md").write_text(card, encoding="utf-8")
        _replace(fresh, out)
    except OSError as error:
        raise storage_error(error, out) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return ExportResult(out, merge, _files(out))


def _check_places(model_dir: Path, out: Path, spec: Export) -> None:
    if not (model_dir / "config.json").is_file() and not has_adapter(model_dir):
        problem = Problem(
            found="no model in this folder",
            file=str(model_dir),
            allowed="a folder with config.json or adapter_config.json",
            fix="Train the student first: distill train RECIPE",
        )
        raise DataError(str(problem), [problem])
    source, target = model_dir.resolve(), out.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise UsageError(f"{out}: cannot export a model into its own folder; name another one")
    if "gguf" in spec.formats:
        find_converter()
        if has_adapter(model_dir) and not spec.merge:
            raise UsageError("export.formats: gguf needs a whole model; set export.merge: true")


def _write_weights(
    model_dir: Path,
    folder: Path,
    spec: Export,
    lineage: Mapping[str, Any],
    texts: Sequence[str],
) -> Merge | None:
    if has_adapter(model_dir) and spec.merge:
        trust = bool(lineage.get("trust_remote_code"))
        return merge_adapter(model_dir, folder, lineage.get("base"), trust, texts)
    copy_model(model_dir, folder)
    return None


def _facts(
    task_prompt: Mapping[str, Any], lineage: Mapping[str, Any], merge: Merge | None
) -> dict[str, Any]:
    """distill.json: what `predict` and a person need to use the model as it was trained."""
    told = (
        "name", "recipe_hash", "seed", "kind", "method", "signal", "max_tokens", "versions",
        "hosted",
    )  # fmt: skip
    teachers = [{**each, "model": shown(each["model"])} for each in lineage.get("teachers") or ()]
    merged = {**asdict(merge), "base": shown(merge.base)} if merge else None
    return {
        "format": FORMAT,
        "prompt": dict(task_prompt),
        "labels": task_prompt["task"].get("labels"),
        "form_hash": form_hash(task_prompt) if _judges(task_prompt) else None,
        **{name: lineage.get(name) for name in told},
        "base": origin(lineage),
        "teachers": teachers,
        "merge": merged,
    }


def _judges(task_prompt: Mapping[str, Any]) -> bool:
    return str(task_prompt["task"].get("kind", "")).startswith("judge_")


def _replace(fresh: Path, out: Path) -> None:
    """Moves a finished folder into place; a crash in between leaves both, hidden but whole."""
    for path in [*fresh.rglob("*"), fresh]:
        sync_path(path)
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    sync_path(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _files(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(folder)) for path in paths)
