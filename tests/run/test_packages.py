"""What is not installed is told before anything is paid, with the line to type."""

import sys

import pytest

from distill.errors import PrerequisiteError
from distill.recipe.load import load_recipe
from distill.run.packages import needed_extras
from distill.run.walk import run_recipe, stages_of


def test_a_base_install_cannot_train(project, workdir, monkeypatch):
    """Exit 3 with the extras by name, before anything is written or asked."""
    recipe = load_recipe(project.write_project(workdir, student=True))
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    with pytest.raises(PrerequisiteError, match="torch") as caught:
        run_recipe(recipe)
    assert caught.value.exit_code == 3
    assert caught.value.problems[0].fix == "Type: pip install 'distill-kit[train,evaluate]'"
    assert not (workdir / "runs").exists()
    # The dataset can be made all the same.
    assert run_recipe(recipe, until="split")["rows"][-1]["accepted"] == 35


def test_extras_follow_from_the_stages(project, workdir):
    """Only stages that are run ask for their extra; a local teacher needs one from the start."""
    recipe = load_recipe(project.write_project(workdir, student=True))
    assert needed_extras(recipe, stages_of(recipe)) == ["train", "evaluate"]
    assert needed_extras(recipe, stages_of(recipe, "train")) == ["train"]
    assert needed_extras(recipe, stages_of(recipe, "split")) == []
    local = load_recipe(workdir / "recipe.yaml", ["teachers.big={kind: local, model: some/model}"])
    assert needed_extras(local, stages_of(local, "filter")) == ["train"]


def test_a_cluster_needs_its_extra(project, workdir, monkeypatch):
    """Exit 3 with the line to type; training alone does not need it."""
    recipe = load_recipe(project.write_project(workdir, student=True, more="run: {engine: ray}\n"))
    assert needed_extras(recipe, ["train"]) == ["train"]
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PrerequisiteError) as caught:
        run_recipe(recipe, until="split")
    assert caught.value.problems[0].fix == "Type: pip install 'distill-kit[ray]'"


def test_4_bit_weights_need_a_package_and_a_gpu(project, workdir, monkeypatch):
    """Exit 3 before anything is asked: first the line to type, then what is missing here."""
    import torch

    path = project.write_project(workdir, student=True)
    text = path.read_text()
    start, end = (text.index(f"\n{key}:") + 1 for key in ("student", "train"))
    path.write_text(f"{text[:start]}student: {{model: some/model, method: qlora}}\n{text[end:]}")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(PrerequisiteError, match="bitsandbytes") as caught:
        run_recipe(load_recipe(path), until="train")
    assert caught.value.problems[0].fix == "Type: pip install 'distill-kit[train,quant]'"
    spec = type("Spec", (), {"__spec__": object()})
    monkeypatch.setitem(sys.modules, "bitsandbytes", spec)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PrerequisiteError, match="CUDA GPU") as caught:
        run_recipe(load_recipe(path), until="train")
    assert caught.value.problems[0].key == "student.method"
    assert not (workdir / "runs").exists()
