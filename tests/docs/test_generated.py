"""The generated pages say what the code says."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def texts():
    spec = importlib.util.spec_from_file_location(
        "generate_docs", ROOT / "scripts/generate_docs.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.texts()


def test_generated_files_are_fresh(texts):
    """What is committed is what `make docs` would write today."""
    stale = [name for name, text in texts.items() if (ROOT / name).read_text("utf-8") != text]
    assert not stale, "Type: make docs"


def test_the_recipe_reference_names_every_key(texts):
    """Each top-level part has a section, each filter and each loss has one too."""
    page = texts["docs/recipe.md"]
    for part in ("teachers", "filter", "train", "evaluate"):
        assert f"## `{part}`" in page
    for kind in ("near_duplicate", "forward_kl", "label_pool", "scripted"):
        assert f"# `{kind}`" in page
