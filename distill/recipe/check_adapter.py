"""Checks that an adapter can be merged at the end, before the training is paid for."""

import json
from pathlib import Path

from distill.recipe.files import folder_of
from distill.recipe.findings import Findings
from distill.recipe.schema import Recipe

HEAD, ENDS = "lm_head", {"lm_head", "embed_tokens"}


def check_adapter(recipe: Recipe, findings: Findings) -> None:
    """Notes an adapter on a head that is the input embeddings too, where `export` merges it.

    Hub ids are left to `doctor`, which knows more configurations.
    """
    student = recipe.student
    if student is None or student.method not in ("lora", "qlora") or not student.model:
        return
    if recipe.export is None or not recipe.export.merge:
        return
    targets = student.lora.target_modules
    saved = student.lora.model_dump().get("modules_to_save") or ()
    if HEAD not in targets and not ENDS & set(saved):
        return
    if _tied(folder_of(recipe) / Path(student.model).expanduser() / "config.json"):
        key = "student.lora." + ("target_modules" if HEAD in targets else "modules_to_save")
        found = "an adapter on a head that shares its weights with the embeddings is not merged"
        fix = f"Leave {HEAD} and the embeddings out of it, or set export.merge: false."
        findings.add(key, found, None, fix)


def _tied(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text("utf-8")).get("tie_word_embeddings"))
    except (OSError, ValueError, AttributeError):
        return False
