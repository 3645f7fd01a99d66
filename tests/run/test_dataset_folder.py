"""What `distill generate` leaves is what other tools load."""

import json

import pytest
import yaml


@pytest.fixture(scope="module")
def dataset(project, tmp_path_factory):
    """The folder of a dataset with two splits."""
    import os
    from pathlib import Path

    folder = tmp_path_factory.mktemp("dataset")
    project.write_project(folder, more="export: {license: null}\n")
    here = Path.cwd()
    os.chdir(folder)
    try:
        said = project.command("generate", "recipe.yaml")
    finally:
        os.chdir(here)
    assert said.code == 0, said.err
    return folder / "runs/tiny/dataset"


def test_load_dataset_from_the_folder(dataset, tmp_path):
    """datasets.load_dataset finds both splits, each row once, with chat messages."""
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(dataset), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "val"}
    lines = (dataset / "train.jsonl").read_text().splitlines()
    assert loaded["train"].num_rows == len(lines)
    row = loaded["train"][0]
    # What TRL calls conversational language modelling: a list of {role, content}.
    assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
    assert all(set(turn) == {"role", "content"} for turn in row["messages"])
    assert row["messages"] == json.loads(lines[0])["messages"]
    assert set(row) == {"id", "messages", "fields"}


def test_openai_fine_tuning_format(dataset):
    """The checks of OpenAI's cookbook ("Data preparation and analysis for chat fine-tuning")."""
    lines = [json.loads(line) for line in (dataset / "openai.jsonl").read_text().splitlines()]
    assert len(lines) == len((dataset / "train.jsonl").read_text().splitlines())
    for example in lines:
        assert set(example) == {"messages"}
        assert example["messages"]
        for message in example["messages"]:
            assert {"role", "content"} == set(message)
            assert message["role"] in ("system", "user", "assistant")
            assert isinstance(message["content"], str)
            assert message["content"]
        assert any(message["role"] == "assistant" for message in example["messages"])


def test_openai_fine_tuning_rules(dataset):
    """The package's own types take every turn; the last is the assistant's; size and count fit."""
    from openai.types.chat import ChatCompletionMessageParam
    from pydantic import TypeAdapter

    turn = TypeAdapter(ChatCompletionMessageParam)
    path = dataset / "openai.jsonl"
    text = path.read_bytes()
    assert not text.startswith(b"\xef\xbb\xbf")
    assert text.endswith(b"\n")
    assert len(text) < 512 * 2**20  # the most that a file may have
    examples = [json.loads(line) for line in text.decode().splitlines()]
    assert len(examples) >= 10  # the fewest that a job takes
    for example in examples:
        for message in example["messages"]:
            turn.validate_python(message, strict=True)
        assert example["messages"][-1]["role"] == "assistant"


def test_card_says_what_is_known_and_what_is_not(dataset):
    """Counts, teachers, prompt hashes, filters, cost and limits; no licence of ours."""
    card = (dataset / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert "license" not in front
    assert [part["split"] for part in front["configs"][0]["data_files"]] == ["train", "val"]
    train = len((dataset / "train.jsonl").read_text().splitlines())
    for line in (
        f"| train | {train} |", "| candidates | 40 |", "- `big`: scripted", "- `label`: sha256",
        "1. length", "3. not_in_gold", "| length:too_long | 5 |", "40 answers paid for",
        "0.0000 USD", "Near-duplicates were not looked for.", "No person has looked at the rows.",
        "No licence was stated in the recipe",
    ):  # fmt: skip
        assert line in card, line
