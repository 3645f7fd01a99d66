"""The small project of tests/run, and the real command in and out of process."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

NAME = "run_project"
if NAME not in sys.modules:
    _path = Path(__file__).parents[1] / "run" / "project.py"
    _spec = importlib.util.spec_from_file_location(NAME, _path)
    sys.modules[NAME] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[NAME])


@pytest.fixture(scope="session")
def project():
    """The functions of tests/run/project.py."""
    return sys.modules[NAME]


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory, project):
    """A folder in which the dataset of the project was made once. Tests only read it."""
    folder = tmp_path_factory.mktemp("made")
    project.write_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert project.command("generate", "recipe.yaml", "--quiet").code == 0
    return folder


@pytest.fixture
def made(made_folder, monkeypatch):
    """That folder as current directory."""
    monkeypatch.chdir(made_folder)
    return made_folder
