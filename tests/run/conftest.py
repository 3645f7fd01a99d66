"""Fixtures around project.py, which is loaded by its path: test folders are no packages."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

_spec = importlib.util.spec_from_file_location(
    "run_project", Path(__file__).with_name("project.py")
)
project_module = sys.modules["run_project"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(project_module)


@pytest.fixture(scope="session")
def project():
    """The functions of project.py."""
    return project_module


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory):
    """A folder in which the whole recipe was run once, in process. Tests only read it."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = project_module.write_project(folder, student=True)
    here = Path.cwd()
    os.chdir(folder)
    try:
        said = project_module.command("run", recipe, "--json")
    finally:
        os.chdir(here)
    assert said.code == 0, said.err
    (folder / "said.json").write_text(said.out)
    return folder


@pytest.fixture
def trained(trained_folder, monkeypatch):
    """The folder of the shared run as current directory."""
    monkeypatch.chdir(trained_folder)
    return trained_folder
