"""What an action gives back: passages, sums, what the user's own tool says, or what is wrong."""

import asyncio
import json

import pytest

from distill.generate.act import Index, Tools, calculate
from distill.generate.sources import Sources
from distill.recipe.schema import Recipe


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 + 3 * (4 - 1)", "11"), ("1,000 / 8", "125"), ("2^10", "1024"), ("-7 // 2", "-4"),
        ("1/0", "Not to be calculated: division by zero"),
        ("9**9**9", "Not to be calculated: math range error"),
        ("__import__('os')", "Not to be calculated: only numbers and + - * / // % ** ( ) are "
                             "understood"),
        ("2 +", "Not to be calculated: invalid syntax (<unknown>, line 1)"),
    ],
)  # fmt: skip
def test_calculate(text, value):
    """Arithmetic only; what cannot be worked out says why."""
    assert calculate(text) == value


def test_index_ranks_rare_words_first():
    """BM25: a rare word counts for more than a common one, a short text for more."""
    index = Index(["the river flows", "the town by the river " + "and so on " * 20, "the the the"])
    assert index.find("river")[0] == "the river flows"
    assert index.find("the town") == ["the town by the river " + "and so on " * 20, "the the the"]
    assert index.find("absent") == []


def test_actions(tmp_path):
    """The last action counts; an unknown one names those that there are; finish gives nothing."""
    (tmp_path / "docs.jsonl").write_text(json.dumps({"title": "Nile", "text": "A long river."}))
    (tmp_path / "own_tools.py").write_text("async def shout(text):\n    return text.upper()\n")
    recipe = Recipe.model_validate(
        {"name": "t", "task": {"kind": "generate"}, "data": {"documents": "docs.jsonl"}}
    )
    recipe._source = str(tmp_path / "recipe.yaml")
    given = {"search": "documents", "sum": "calculator", "shout": "own_tools:shout"}
    tools = Tools(recipe, given, Sources(recipe), "x")

    def use(text):
        return asyncio.run(tools.use(text, {}))

    assert use("Thought: a\nAction: sum[1+1]\nThought: b\nAction: search[river]") == (
        "Nile: A long river."
    )
    assert use("Action: shout[hey]") == "HEY"
    assert use("Action: sum[7]\n") == "7"
    assert use("Action: finish[42]") == use("no action") == ""
    assert use("Action: fly[away]") == (
        "There is no action 'fly'. Actions: search, sum, shout, finish."
    )
