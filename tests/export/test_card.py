"""The model card: states what is known, and nothing else."""

from typing import Any

import yaml

from distill.export.card import model_card
from distill.export.weights import Merge

PROMPT: dict[str, Any] = {
    "task": {
        "kind": "classify",
        "labels": ["billing", "bug"],
        "input": "text",
        "system": "Be brief.",
    },
    "template": "Text:\n```\n{{ input }}\n```\nLabel:",
}


def figure(value: float) -> dict[str, Any]:
    return {"accuracy": {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 50}}


def front(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---")[1])


def test_a_licence_is_stated_only_when_given() -> None:
    """Without a licence in the recipe the card has none."""
    assert "license" not in front(model_card("student", PROMPT, {}, None, None))
    assert front(model_card("student", PROMPT, {}, "mit", None))["license"] == "mit"


def test_the_card_tells_lineage_counts_and_figures() -> None:
    """Base, teacher, row counts, the comparison and the merge are all there."""
    lineage = {
        "base": "org/base-1b",
        "method": "lora",
        "teachers": [{"name": "big", "model": "org/big-70b"}],
        "report": {
            "rows": [
                {"stage": "filter", "in": 10, "accepted": 8, "rejected": 2, "failed": 0}
            ],
            "metrics": {"teacher": figure(0.9), "student": figure(0.85)},
            "metrics_on": "gold",
        },
    }  # fmt: skip
    card = model_card("student", PROMPT, lineage, None, Merge("org/base-1b", 3e-7, 4, 16))
    for words in (
        "starts from: org/base-1b (lora)", "teacher `big`: org/big-70b",
        "| filter | 10 | 8 | 2 | 0 |", "0.850 [0.750, 0.950]", "at most 3e-07 nats",
        "vllm serve ./student", "transformers serve ./student", "`billing`, `bug`.", "Be brief.",
    ):  # fmt: skip
        assert words in card
    assert front(card)["base_model"] == "org/base-1b"
    assert "\n\n\n" not in card


def test_a_prompt_with_fences_does_not_break_out() -> None:
    """A template that holds a code fence is put in a longer one."""
    card = model_card("student", PROMPT, {}, None, None)
    assert "````\nText:" in card
    assert "It was not measured." in card


def test_no_path_of_a_machine_is_published() -> None:
    """Folders are named by their last part; what the student started from can be told apart."""
    lineage = {
        "base": "/srv/models/runs/x/student_before",
        "teachers": [{"name": "big", "model": "/data/models/big-70b"}],
    }
    merge = Merge("/srv/models/runs/x/student_before", 0.0, 4, 16)
    card = model_card("student", PROMPT, lineage, None, merge)
    assert "starts from: student_before" in card
    assert "teacher `big`: big-70b" in card
    assert "/home" not in card
    assert "/data" not in card
    assert "base_model" not in front(card)
    named = model_card("student", PROMPT, {**lineage, "model": "org/base-1b"}, None, merge)
    assert front(named)["base_model"] == "org/base-1b"
    assert "merged into org/base-1b" in named
    scratch = model_card("student", PROMPT, {**lineage, "model": None}, None, None)
    assert "trained from scratch" in scratch
