"""A recipe folder that is right, and a way to change one thing in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = """\
version: 1
name: tickets
teachers:
  big: {kind: scripted}
task: {kind: classify, input: text, output: label, labels: [billing, bug]}
data: {pool: pool.csv, gold: gold.jsonl}
generate: {strategy: label_pool, ask: big}
filter:
  - length: {words: [1, 50]}
  - refusal
split: {train: 0.8, val: 0.2}
"""
STUDENT = """\
student: {init: scratch, config: {model_type: llama}, tokenizer: {bpe: 300}}
train: {lr: 1e-3, steps: 2}
evaluate: {compare: [hard_labels]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the recipe's files."""
    (tmp_path / "pool.csv").write_text("text,extra\nmy card,1\nit crashes,2\n")
    (tmp_path / "gold.jsonl").write_text(
        '{"text": "refund me", "label": "billing"}\n{"text": "error 7", "label": "bug"}\n'
    )
    return tmp_path


@pytest.fixture
def write(folder: Path) -> Callable[..., Path]:
    """Writes the good recipe with replacements; returns its path."""

    def write(*replacements: tuple[str, str], base: str = GOOD) -> Path:
        text = base
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path = folder / "recipe.yaml"
        path.write_text(text)
        return path

    return write
