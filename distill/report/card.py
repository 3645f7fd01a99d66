"""The dataset card: what the rows are, where they come from, their cost, what is not known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    strategy: str | None = None
    candidates: int | None = None
    """Rows that were asked for, whatever became of them."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Why rows were rejected or failed."""
    cost: Mapping[str, Any] = field(default_factory=dict)
    """usd, requests, input_tokens, output_tokens, stored_answers; empty where nobody was asked."""
    notes: Sequence[str] = ()
    """Sentences: a target that was missed, the teacher on gold."""
    limits: Sequence[str] = ()
    """What was not looked for, in sentences."""


MOST_REASONS = 20
GENERAL = (
    "Written or labelled by a model: it carries that model's mistakes and leanings.",
    "Whether a teacher's terms allow training on its answers is for the user to check.",
)


def dataset_card(facts: DatasetFacts) -> str:
    """README.md of a dataset folder. States no licence unless the recipe gives one."""
    made = f"by the strategy `{facts.strategy}` of" if facts.strategy else "by"
    lines = [
        "---",
        yaml.safe_dump(_front(facts), sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {facts.name}",
        "",
        f"Rows for the task `{facts.task}`, made {made} a distill recipe "
        f"(hash `{facts.recipe_hash[:12]}`).",
        "",
        "| part | rows |",
        "|---|--:|",
        *(f"| {name} | {count} |" for name, count in facts.splits.items()),
        f"| rejected (kept in rejected.parquet with the reason) | {facts.rejected} |",
        *([f"| candidates | {facts.candidates} |"] if facts.candidates is not None else []),
        "",
        *(line for note in facts.notes for line in (note, "")),
        *_section("Teachers", [f"- `{name}`: {model}" for name, model in facts.teachers.items()],
                  "None was asked."),
        *_section("Prompts", [f"- `{name}`: sha256 `{value[:16]}`"
                              for name, value in facts.prompts.items()], "None."),
        *_section("Filters, in order", [f"{place}. {name}"
                                        for place, name in enumerate(facts.filters, 1)], "None."),
        *_reasons(facts),
        *_section("Cost", _cost(facts.cost), "Nobody was asked."),
        *_section("Known limits", [f"- {limit}" for limit in _limits(facts)], ""),
    ]  # fmt: skip
    return "\n".join(lines)


def _front(facts: DatasetFacts) -> dict[str, Any]:
    front: dict[str, Any] = {"pretty_name": facts.name, "tags": ["synthetic", "distill-kit"]}
    if facts.license:
        front["license"] = facts.license
    files = [{"split": name, "path": f"{name}.jsonl"} for name in facts.splits]
    front["configs"] = [{"config_name": "default", "data_files": files}]
    return front


def _section(title: str, lines: Sequence[str], otherwise: str) -> list[str]:
    return [f"## {title}", "", *(lines or [otherwise]), ""]


def _reasons(facts: DatasetFacts) -> list[str]:
    if not facts.reasons:
        return []
    first = sorted(facts.reasons.items(), key=lambda item: (-item[1], item[0]))
    rows = [f"| {name.replace('|', '/')} | {count} |" for name, count in first[:MOST_REASONS]]
    if len(first) > MOST_REASONS:
        rest = sum(count for _, count in first[MOST_REASONS:])
        rows.append(f"| {len(first) - MOST_REASONS} other reasons | {rest} |")
    return ["## Why rows were dropped", "", "| reason | rows |", "|---|--:|", *rows, ""]


def _cost(cost: Mapping[str, Any]) -> list[str]:
    if not cost:
        return []
    usd = "no known price" if cost["usd"] is None else f"{cost['usd']:.4f} USD"
    stored = f", {cost['stored_answers']} more from the store" if cost["stored_answers"] else ""
    return [
        f"{usd}: {cost['requests']} answers paid for{stored}; {cost['input_tokens']} input and "
        f"{cost['output_tokens']} output tokens. Up to when the dataset was written."
    ]


def _limits(facts: DatasetFacts) -> list[str]:
    unstated = [] if facts.license else ["No licence was stated in the recipe, so none is here."]
    return [*GENERAL, *facts.limits, *unstated]
