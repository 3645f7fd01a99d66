from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from distill.errors import RecipeError
from distill.recipe.yaml_file import parse_yaml, read_yaml


def test_yaml_1_2_scalars() -> None:
    """Exponents are numbers, only true and false are booleans, dates and `no` stay text."""
    text = "[1e-4, 1.0e-4, no, on, true, 010, 0x1f, ~, '1', 2024-01-01, 1_000]"
    assert parse_yaml(text, "f").data == [
        1e-4, 1e-4, "no", "on", True, 10, 31, None, "1", "2024-01-01", "1_000",
    ]  # fmt: skip


def test_lines_of_key_paths() -> None:
    """Every key path knows its line, list items by index."""
    lines = parse_yaml("a:\n  - b:\n      c: 1\n  - 2\n", "f").lines
    assert (lines["a"], lines["a.0.b"], lines["a.0.b.c"], lines["a.1"]) == (1, 2, 3, 4)


def test_duplicate_key_names_both_lines() -> None:
    """A duplicate key is refused with its own line and the first one's."""
    with pytest.raises(RecipeError) as caught:
        parse_yaml("a: 1\nb: 2\na: 3\n", "f.yaml")
    problem = caught.value.problems[0]
    assert (problem.line, problem.key) == (3, "a")
    assert "line 1" in problem.found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {{ x }}", "a key that is not text"),
        ("a: &x [*x]", "contains itself"),
        ("a: !!python/object:os.system x", "tag"),
        ("a: .inf", "finite"),
        ("a: 1e999", "too large"),
        ("a:\n\tb: 1", r"'\t'"),
        ("--- 1\n--- 2", "another document"),
        ("\x00", "character"),
        ('a: "\\UFFFFFFFF"', "not YAML"),
        ('a: "\\ud800"', "surrogate"),
        ("[" * 1000, "deep"),
        ("x: 1\n? [a]\n: b", "a key that is not text"),
        ("a: " + "9" * 5000, "digits"),
    ],
)
def test_refused_with_words(text: str, words: str) -> None:
    """What YAML can write and a recipe must not is refused in plain words."""
    with pytest.raises(RecipeError, match=r"^f") as caught:
        parse_yaml(text, "f")
    assert words in str(caught.value)


def test_anchors_are_fine_and_bombs_are_not() -> None:
    """An alias repeats a value; aliases of aliases cannot fill the memory."""
    assert parse_yaml("a: &x {b: 1}\nc: *x", "f").data == {"a": {"b": 1}, "c": {"b": 1}}
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(RecipeError, match="aliases repeat"):
        parse_yaml("\n".join(levels), "f")


def test_broken_utf8_has_its_line(tmp_path: Path) -> None:
    """A byte that is not UTF-8 is reported with its line; a byte order mark is fine."""
    path = tmp_path / "r.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(RecipeError) as caught:
        read_yaml(path)
    assert caught.value.problems[0].line == 2
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path).data == {"a": 1}


@given(
    st.text(
        alphabet=st.characters() | st.sampled_from("{}[]:-#&*!|>'\"%@`,?\n\t 019.eE"), max_size=80
    )
)
@example("")
@example("!<")
@example("%TAG ! !")
def test_any_text_is_data_or_a_recipe_error(text: str) -> None:
    """No text makes the loader fail in another way."""
    with suppress(RecipeError):
        parse_yaml(text, "f")
