"""The dataset card: what the rows are, where they come from and what is not known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What the card states; nothing that the run does not know."""

    name: str
    task: str
    splits: Mapping[str, int]
    rejected: int
    teachers: Mapping[str, str]
    """Name -> model."""
    prompts: Mapping[str, str]
    """Field -> hash of its prompt."""
    filters: Sequence[str]
    license: str | None
    recipe_hash: str


def dataset_card(facts: DatasetFacts) -> str:
    """README.md of a dataset folder. States no licence unless the recipe gives one."""
    front: dict[str, Any] = {"pretty_name": facts.name, "tags": ["synthetic", "distill-kit"]}
    if facts.license:
        front["license"] = facts.license
    front["configs"] = [
        {
            "config_name": "default",
            "data_files": [{"split": name, "path": f"{name}.jsonl"} for name in facts.splits],
        }
    ]
    lines = [
        "---",
        yaml.safe_dump(front, sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {facts.name}",
        "",
        f"Rows for the task `{facts.task}`, made by a distill recipe "
        f"(hash `{facts.recipe_hash[:12]}`).",
        "",
        "| part | rows |",
        "|---|--:|",
        *(f"| {name} | {count} |" for name, count in facts.splits.items()),
        f"| rejected (kept in rejected.parquet with the reason) | {facts.rejected} |",
        "",
        "## Teachers",
        "",
        *(
            [f"- `{name}`: {model}" for name, model in facts.teachers.items()]
            or ["None was asked."]
        ),
        "",
        "## Prompts",
        "",
        *(
            [f"- `{name}`: sha256 `{value[:16]}`" for name, value in facts.prompts.items()]
            or ["None."]
        ),
        "",
        "## Filters, in order",
        "",
        *([f"{place}. {name}" for place, name in enumerate(facts.filters, 1)] or ["None."]),
        "",
        "What they cost stands in the run's report.",
        "",
        "## Known limits",
        "",
        "Written or labelled by a model: it carries that model's mistakes and leanings. "
        "Whether a teacher's terms allow training on its answers is for the user to check."
        + (
            "" if facts.license else " No licence was stated in the recipe, so none is stated here."
        ),
        "",
    ]
    return "\n".join(lines)
