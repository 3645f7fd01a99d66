"""Passages for a question: by its words, or by what they mean."""

import json

import pytest

from distill.errors import PrerequisiteError
from distill.recipe.check import check
from distill.recipe.load import load_recipe
from distill.rows.readers import read_numbered
from distill.run.evaluate.retrieval import search_of
from distill.run.packages import needed_extras

TEXTS = ["a bill and a refund", "snow and storm and wind", "a goat and a cow"]


@pytest.fixture
def recipe(tmp_path):
    """A recipe that retrieves, by a model or without."""

    def make(**retrieval):
        lines = [json.dumps({"text": text}) for text in TEXTS]
        (tmp_path / "docs.jsonl").write_text("\n".join(lines))
        (tmp_path / "gold.jsonl").write_text('{"question": "q", "answer": "a", "passages": []}\n')
        whole = {
            "version": 1, "name": "r", "teachers": {"big": {"kind": "scripted"}},
            "task": {"kind": "grounded"},
            "data": {"documents": "docs.jsonl", "gold": "gold.jsonl"},
            "evaluate": {"on": ["gold"], "ask": "big", "baselines": ["retrieval"],
                         "retrieval": retrieval},
        }  # fmt: skip
        (tmp_path / "recipe.yaml").write_text(json.dumps(whole))
        return load_recipe(tmp_path / "recipe.yaml")

    return make


def test_embeddings_find_what_shares_no_word(recipe, embeddings):
    """A question about rain finds the storm; words alone find nothing there."""
    found = search_of(recipe(model=embeddings, passages=2))
    assert (found.method, found.size, found.passages) == ("embeddings", 3, 2)
    assert found.find("rain cloud")[0] == TEXTS[1]
    assert len(found.find("horse")) == 2
    assert found.find("zzz") == []
    words = search_of(recipe())
    assert (words.method, words.passages) == ("bm25", 4)
    assert list(words.find("rain cloud")) == []
    assert list(words.find("snow")) == [TEXTS[1]]


def test_a_model_that_is_not_there_is_named(recipe, monkeypatch):
    """check finds a missing folder; without the package the line to type is told."""
    made = recipe(model="./nowhere")
    keys = [problem.key for problem in check(made, {}, read_numbered).problems]
    assert "evaluate.retrieval.model" in keys
    assert "semantic" in needed_extras(made, ["evaluate"])
    with pytest.raises(PrerequisiteError):
        search_of(made)
