"""The user's functions: found beside the recipe, loaded once, wrong ones named."""

import sys
from pathlib import Path

import pytest

from distill.errors import RecipeError
from distill.recipe.functions import find_function, source_of


def refuse(found: str, allowed: str | None) -> RecipeError:
    return RecipeError(f"{found} | {allowed}")


def test_what_lies_beside_the_recipe_comes_first(tmp_path: Path) -> None:
    """A module's name, a file's name, a package; modules beside are imported in turn."""
    (tmp_path / "json.py").write_text("import told\n\ndef say():\n    return told.WORD\n")
    (tmp_path / "told.py").write_text("WORD = 'mine'\n")
    (tmp_path / "own_distill_test").mkdir()
    (tmp_path / "own_distill_test" / "part.py").write_text(
        "from told import WORD\n\ndef say():\n    return WORD"
    )
    for ref in (
        "json:say",
        "json.py:say",
        "own_distill_test.part:say",
        "own_distill_test/part.py:say",
    ):
        assert find_function(ref, tmp_path, refuse)() == "mine"
    assert find_function("posixpath:join", tmp_path, refuse)("a", "b") == "a/b"
    assert str(tmp_path) not in sys.path


def test_a_file_is_loaded_once_as_long_as_it_stays(tmp_path: Path) -> None:
    """Two options share what the module holds; a changed text is another module."""
    file = tmp_path / "mine.py"
    file.write_text("seen = []\n\ndef add():\n    seen.append(1)\n    return len(seen)\n")
    assert [find_function("mine:add", tmp_path, refuse)() for _ in range(2)] == [1, 2]
    assert "seen = []" in source_of(find_function("mine.py:add", tmp_path, refuse))
    file.write_text(file.read_text().replace("seen = []", "seen = [0]"))
    assert find_function("mine:add", tmp_path, refuse)() == 2


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ("mine", "names no function"),
        ("mine:", "names no function"),
        ("a b:c", "names no function"),
        ("mine:nothing", "mine has no function 'nothing' | told"),
        ("broken:f", "ZeroDivisionError"),
        ("nowhere:f", "no module 'nowhere'"),
        ("nowhere.py:f", "FileNotFoundError"),
    ],
)
def test_what_cannot_be_found_is_named(tmp_path: Path, ref: str, found: str) -> None:
    """The error says what is wrong and what is there."""
    (tmp_path / "mine.py").write_text("def told(): pass\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(RecipeError) as error:
        find_function(ref, tmp_path, refuse)
    assert found in str(error.value)
