"""`init` writes projects that run as they are."""

import json

import pytest

from distill.recipe.load import load_recipe
from distill.recipe.starters import starters

TEMPLATES = ("classify", "format", "grounded", "judge", "summarize")


def test_the_templates_are_those_of_the_contract():
    """Five names, each with a recipe."""
    assert tuple(starters()) == TEMPLATES


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_makes_a_dataset(project, workdir, template):
    """Written, checked and generated without a change; rows are kept and val has some too."""
    said = project.command("init", "here", "--template", template, "--json")
    assert said.code == 0
    assert "recipe.yaml" in said.json["files"]
    assert project.command("check", "here/recipe.yaml").code == 0
    made = project.command("generate", "here/recipe.yaml", "--json")
    assert made.code == 0, made.err
    folder = workdir / "runs" / load_recipe(workdir / "here" / "recipe.yaml").name / "dataset"
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    assert len(rows) >= 4
    assert all(row["messages"][-1]["role"] == "assistant" for row in rows)
    assert len({row["messages"][-1]["content"] for row in rows}) > 2
    assert (folder / "val.jsonl").read_text()


def test_a_template_trains(project, workdir):
    """The classify starter runs to its report in two steps."""
    project.command("init", "here")
    said = project.command("run", "here/recipe.yaml", "--yes", "--json", "--set", "train.steps=2")
    assert said.code == 0, said.err
    assert said.json["metrics"]["student"]["accuracy"]["value"] is not None


def test_nothing_is_written_over(project, workdir):
    """A file that is there already stops it, with exit code 2; so does an unknown template."""
    assert project.command("init", "here").code == 0
    said = project.command("init", "here", "--template", "format")
    assert said.code == 2
    assert "is there already" in said.err
    assert "allowed: classify" in project.command("init", "x", "--template", "poem").err
