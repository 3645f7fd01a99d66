"""README.md of an exported student: what it is for, where it comes from, how good it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from distill.export.weights import Merge
from distill.report.text import comparison_table

TEMPLATES = Path(__file__).parent / "templates"
TOLD = ("method", "kind", "signal", "teachers", "seed", "recipe_hash", "hosted")
PIPELINES = {"causal": "text-generation", "classifier": "text-classification"}
"""Kind of student -> what the hub calls its task."""


def model_card(
    folder_name: str,
    task_prompt: Mapping[str, Any],
    lineage: Mapping[str, Any],
    license: str | None,
    merge: Merge | None,
) -> str:
    """The card in Markdown; a licence is stated only where the recipe gives one."""
    known = {**dict.fromkeys(TOLD), **lineage}
    report = lineage.get("report") or {}
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("card.md.jinja").render(
        front=yaml.safe_dump(_front(lineage, license), sort_keys=False).strip(),
        folder=folder_name,
        task=task_prompt["task"],
        template=task_prompt["template"],
        fence=_fence(task_prompt["template"]),
        name=lineage.get("name") or folder_name,
        lineage=known,
        origin=origin(lineage),
        shown=shown,
        rows=report.get("rows") or [],
        restarts=(report.get("training") or {}).get("restarts") or [],
        table=comparison_table(report) if report.get("metrics") else None,
        merge=merge,
    )


def origin(lineage: Mapping[str, Any]) -> str | None:
    """The model that the student started from, as the card names it; None for scratch."""
    return shown(lineage["model"] if "model" in lineage else lineage.get("base"))


def shown(model: str | None) -> str | None:
    """A hub id as it is; of a folder only its name, so that no path of a machine is published."""
    if model and (Path(model).is_absolute() or model.startswith((".", "~"))):
        return Path(model).name
    return model


def _front(lineage: Mapping[str, Any], license: str | None) -> dict[str, Any]:
    front: dict[str, Any] = {} if lineage.get("hosted") else {"library_name": "transformers"}
    front["pipeline_tag"] = PIPELINES[lineage.get("kind") or "causal"]
    if license:
        front["license"] = license
    base = origin(lineage)
    if base and base == lineage.get("model", lineage.get("base")):
        front["base_model"] = base
    return {**front, "tags": ["distillation", "distill-kit"]}


def _fence(text: str) -> str:
    """A code fence longer than any inside the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return fence
