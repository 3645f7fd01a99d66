from collections.abc import Callable
from pathlib import Path

import pytest

from distill.errors import RecipeError
from distill.recipe.load import load_recipe
from distill.recipe.prompts import TaskPrompt, teacher_prompt
from teachers.protocol import Message

Write = Callable[..., Path]
TASK = "task: {kind: classify, input: text, output: label, labels: [billing, bug]}"


def test_default_prompt_and_round_trip(write: Write) -> None:
    """The default shows labels and input; the exported form asks the same."""
    prompt = TaskPrompt.from_recipe(load_recipe(write()))
    row = {"text": "my {{ card }}", "label": "billing"}
    user = Message(
        "user",
        "Classify the text with one of these labels: billing, bug.\n\nText: my {{ card }}\nLabel: ",
    )
    assert prompt.conversation(row) == (user, Message("assistant", "billing"))
    assert prompt.needs == {"text"}
    assert TaskPrompt.from_dict(prompt.as_dict()).ask_messages(row) == (user,)


def test_own_prompt_from_a_file_with_system(write: Write, folder: Path) -> None:
    """A prompt may be a file, name any field, and have a system message before it."""
    (folder / "ask.md").write_text("{{ who }}: {{ input }}\n")
    more = TASK.replace("bug]", "bug], prompt: ask.md, system: Be brief.")
    prompt = TaskPrompt.from_recipe(load_recipe(write((TASK, more))))
    assert prompt.needs == {"who", "text"}
    turns = prompt.ask_messages({"who": "Al", "text": "hi"})
    assert turns == (Message("system", "Be brief."), Message("user", "Al: hi"))
    with pytest.raises(RecipeError, match="who"):
        prompt.ask_messages({"text": "hi"})


def test_a_row_may_have_a_field_called_input(write: Write) -> None:
    """A field of the row wins over the name we give."""
    more = TASK.replace("bug]", "bug], prompt: '{{ input }}'")
    prompt = TaskPrompt.from_recipe(load_recipe(write((TASK, more))))
    assert prompt.ask_messages({"text": "a", "input": "b"})[0].content == "b"


def test_answers_that_are_not_text_become_json(write: Write) -> None:
    """An extracted object is written as canonical JSON."""
    recipe = load_recipe(write((TASK, "task: {kind: extract, input: text, schema: {}}")))
    turns = TaskPrompt.from_recipe(recipe).conversation({"text": "a", "output": {"b": 1, "a": "é"}})
    assert turns[-1].content == '{"a":"é","b":1}'


def test_teacher_prompt(write: Write) -> None:
    """The ask that makes the output, else one that chooses among the labels, else none."""
    found = teacher_prompt(load_recipe(write()))
    assert found is not None
    assert (found[0], found[1].choices) == ("big", "labels")
    pool = "{strategy: label_pool, ask: big}"
    other = "{fields: {label: {sample: labels}, c: {ask: big, prompt: x, choices: [billing, bug]}}}"
    found = teacher_prompt(load_recipe(write((pool, other))))
    assert found is not None
    assert found[1].prompt == "x"
    none = "{fields: {label: {sample: labels}}}"
    assert teacher_prompt(load_recipe(write((pool, none)))) is None
