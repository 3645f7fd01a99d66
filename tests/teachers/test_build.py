import subprocess
import sys
from typing import get_args

import pytest

from teachers import (
    ADAPTERS,
    ConfigError,
    CustomTeacher,
    LocalTeacher,
    MissingPackage,
    ScriptedTeacher,
    build_adapter,
)
from teachers.config import TeacherConfig
from teachers.scripted import ScriptedAdapter


def test_one_factory_per_kind():
    """The dictionary and the union of configurations name the same kinds."""
    union = get_args(get_args(TeacherConfig)[0])
    assert ADAPTERS.keys() == {get_args(kind.model_fields["kind"].annotation)[0] for kind in union}


def test_importing_teachers_is_light():
    """Neither the package nor its gateway loads an adapter's libraries."""
    heavy = {"openai", "aiohttp", "torch", "transformers", "jsonschema"}
    code = f"import sys, teachers; sys.exit(str(sorted({heavy!r} & sys.modules.keys()) or ''))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr.strip() == ""


def test_scripted():
    """A scripted configuration gives a scripted teacher of that name."""
    made = build_adapter(ScriptedTeacher(kind="scripted"), "helper")
    assert isinstance(made, ScriptedAdapter)
    assert made.name == "helper"


def test_custom(tmp_path, monkeypatch):
    """The user's function is called with the name and the options."""
    (tmp_path / "my_teachers.py").write_text(
        "class T:\n"
        "    def __init__(self, name, options): self.name, self.options = name, options\n"
        "    async def ask(self, ask): ...\n"
        "    async def close(self): ...\n"
        "def nothing(name, options): return None\n".replace("\\\n", "\n")
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = CustomTeacher(kind="custom", factory="my_teachers:T", options={"x": 1})
    made = build_adapter(config, "mine")
    assert (made.name, made.options) == ("mine", {"x": 1})


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("json", "package.module:function"),
        ("no_such_module_here:f", "no module 'no_such_module_here'"),
        ("json:no_such_function", "json has no"),
        ("builtins:list", "takes|at most|expected"),
    ],
)
def test_custom_mistakes(factory, said):
    """Each way of naming no teacher is told apart."""
    with pytest.raises((ConfigError, TypeError), match=said):
        build_adapter(CustomTeacher(kind="custom", factory=factory), "mine")


def test_missing_package(monkeypatch):
    """A package that is not installed becomes the line to type."""

    def factory(config, name, source):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setitem(ADAPTERS, "local", factory)
    with pytest.raises(MissingPackage, match=r"pip install 'distill-kit\[train\]'"):
        build_adapter(LocalTeacher(kind="local", model="m"), "big")


def test_student_of_another_recipe_needs_a_run():
    """A local teacher that names a recipe cannot be built before that recipe was run."""
    with pytest.raises(ConfigError, match="has to be run"):
        build_adapter(LocalTeacher(kind="local", recipe="small.yaml"), "big")
