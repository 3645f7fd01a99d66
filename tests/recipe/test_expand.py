from collections.abc import Callable
from pathlib import Path

import pytest

from distill.errors import RecipeError
from distill.recipe.expand import expand, plain_fields
from distill.recipe.generation import AskField
from distill.recipe.load import load_recipe
from distill.recipe.schema import Recipe
from distill.recipe.templates import Template

Write = Callable[..., Path]
POOL = "{strategy: label_pool, ask: big}"


def fields(recipe: Recipe) -> list[str]:
    assert recipe.generate is not None
    return list(recipe.generate.fields)


def test_label_pool_asks_for_the_output(write: Write) -> None:
    """label_pool is one ask with the labels as choices; the recipe keeps its file and lines."""
    recipe = load_recipe(write())
    expanded = expand(recipe)
    made = plain_fields(expanded)["label"]
    assert made["choices"] == "labels"
    text = Template(made["prompt"], "t").render({"text": "my {{ card }}"})
    assert "billing, bug" in text
    assert "my {{ card }}" in text
    assert (expanded._source, expanded._lines) == (recipe._source, recipe._lines)
    assert expand(expanded) == expanded


def test_users_fields_stand_where_they_are_needed(write: Write) -> None:
    """Fields that make the input come before our ask, the others after it."""
    own = "fields: {a: {sample: [x]}, text: {render: '{{ a }}'}, later: {render: '{{ label }}'}}"
    expanded = expand(load_recipe(write((POOL, POOL.replace("}", f", {own}}}")))))
    assert fields(expanded) == ["a", "text", "label", "later"]
    assert fields(expand(expanded)) == fields(expanded)


def test_users_field_replaces_ours(write: Write) -> None:
    """A field of the strategy's name is taken from the recipe."""
    own = "fields: {label: {ask: big, prompt: mine, votes: 3}}"
    expanded = expand(load_recipe(write((POOL, POOL.replace("}", f", {own}}}")))))
    assert plain_fields(expanded)["label"] == {"ask": "big", "prompt": "mine", "votes": 3}


def test_self_instruct_classify(write: Write) -> None:
    """self_instruct samples a label, asks for a text of that label and asks to label it."""
    expanded = expand(load_recipe(write((POOL, "{strategy: self_instruct, ask: big, accept: 3}"))))
    assert fields(expanded) == ["examples", "label", "text", "check"]
    assert expanded.generate is not None
    ask = expanded.generate.fields["text"]
    assert isinstance(ask, AskField)
    rows = [{"text": "A", "label": "bug"}, {"text": "B"}]
    text = Template(ask.prompt, "t").render({"examples": rows, "label": "billing"})
    assert "Label: bug\nText: A" in text
    assert "whose label is: billing" in text


def test_extract_and_generate(write: Write) -> None:
    """Other tasks ask with their schema, or with the task's own prompt and its `input`."""
    task = "{kind: classify, input: text, output: label, labels: [billing, bug]}"
    schema = '{kind: extract, input: text, schema: {type: object, title: "{{ x }}", default: null}}'
    made = plain_fields(expand(load_recipe(write((task, schema)))))["output"]
    assert made["schema"]["type"] == "object"
    assert '"title":"{{ x }}"' in Template(made["prompt"], "t").render({"text": "a"})
    prompt = "{kind: generate, input: text, prompt: 'Go on: {{ input }}'}"
    made = plain_fields(expand(load_recipe(write((task, prompt)))))["output"]
    assert Template(made["prompt"], "t").render({"text": "a"}) == "Go on: a"


def test_field_that_no_template_can_name(write: Write) -> None:
    """A column name that is not a word is refused where it is written."""
    with pytest.raises(RecipeError) as caught:
        expand(load_recipe(write(("input: text", "input: Review text"))))
    assert caught.value.problems[0].key == "task.input"
