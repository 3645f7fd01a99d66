from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import Problem, RecipeError
from distill.recipe.load import bundled_recipes, load_recipe

Write = Callable[..., Path]
FIELDS = ("{strategy: label_pool, ask: big}", "{fields: {z: FIELD}}")


def problems(path: Path, *overrides: str) -> list[Problem]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    return list(caught.value.problems)


def test_good_recipe_knows_its_file_and_lines(write: Write) -> None:
    """A loaded recipe carries the absolute path of its file and the lines of its keys."""
    path = write()
    recipe = load_recipe(path)
    assert recipe._source == str(path.resolve())
    assert recipe._lines["filter.0.length.words"] == 9


@pytest.mark.parametrize(
    ("old", "new", "key", "words", "fix"),
    [
        ("words: [1, 50]", "wordz: [1, 50]", "filter.0.length.wordz", "unknown key", "'words'"),
        ("length: {words", "lenght: {words", "filter.0", "unknown filter 'lenght'", "'length'"),
        ("words: [1, 50]", "words: [1]", "filter.0.length.words.1", "value 2 is missing", ""),
        (
            "kind: scripted",
            "kind: scripted, wrong: 2",
            "teachers.big.wrong",
            "at most 1, found 2",
            "",
        ),
        ("kind: scripted", "kind: skripted", "teachers.big.kind", "unknown value", "'scripted'"),
        ("kind: scripted", "wrong: 0.1", "teachers.big.kind", "missing key 'kind'", ""),
        ("kind: scripted", "kind: openai", "teachers.big.model", "missing key 'model'", ""),
        ("[billing, bug]", "[billing, 3]", "task.labels.1", "must be text, found 3", "quotes"),
        ("[billing, bug]", "[bug, bug]", "task.labels", "twice", ""),
        ("name: tickets", "nmae: tickets", "nmae", "unknown key", "'name'"),
        ("version: 1", "version: 2", "version", "unknown value '2'", ""),
        ("train: 0.8", "train: 0.7", "split", "must be 1", ""),
        (FIELDS[0], "{fields: {z: {ask: big}}}", "generate.fields.z.prompt", "missing key", ""),
        (
            FIELDS[0],
            "{fields: {z: {smaple: a}}}",
            "generate.fields.z.smaple",
            "unknown",
            "'sample'",
        ),
        (FIELDS[0], "{fields: {z: {sample: 3}}}", "generate.fields.z.sample", "text or a list", ""),
        (FIELDS[0], "{fields: {z: hello}}", "generate.fields.z", "must be a mapping", ""),
    ],
)
def test_one_clear_problem(
    write: Write, old: str, new: str, key: str, words: str, fix: str
) -> None:
    """A mistake gives file, line, the file's own key path, what was found and a way out."""
    path = write((old, new))
    found = [problem for problem in problems(path) if problem.key == key]
    assert len(found) == 1
    assert found[0].file == str(path)
    assert found[0].line is not None
    assert words in found[0].found
    assert fix in (found[0].fix or "")


def test_all_problems_at_once(write: Write) -> None:
    """Independent mistakes are reported together, in the order of the file."""
    path = write(("version: 1", "version: 3"), ("refusal", "refusl"), ("train: 0.8", "train: x"))
    keys = [problem.key for problem in problems(path)]
    assert keys == ["version", "filter.1", "split.train"]


def test_union_of_plain_types_is_one_problem(write: Write) -> None:
    """A value that fits no branch of a union gives one sentence, not one per branch."""
    path = write(base=load_base("train: {lr: fast}"))
    (problem,) = problems(path)
    assert (problem.key, problem.found) == (
        "train.lr",
        "must be a number or a list, found 'fast'",
    )


def load_base(more: str) -> str:
    return f"version: 1\nname: a\ntask: {{kind: generate}}\n{more}\n"


def test_a_pasted_key_is_not_shown(write: Write) -> None:
    """A secret where its variable's name belongs never enters the message."""
    path = write(("kind: scripted", "kind: openai, model: m, api_key_env: sk-secret-1"))
    assert "sk-secret" not in "".join(map(str, problems(path)))


@pytest.mark.parametrize("text", ["", "- a", "3", "a: [", "\t", "null"])
def test_files_that_are_no_mapping(tmp_path: Path, text: str) -> None:
    """Empty files, lists and broken YAML are recipe errors with the file's name."""
    path = tmp_path / "r.yaml"
    path.write_text(text)
    assert problems(path)[0].file == str(path)


def test_set_changes_and_adds_keys(write: Write) -> None:
    """--set takes YAML values, list items by index, and makes mappings that are not there."""
    recipe = load_recipe(
        write(),
        [
            "train.lr=1e-4",
            "filter.0.length.words=[3,9]",
            "filter.1.refusal.field=text",
            "generate.fields.z.ask=big",
            "generate.fields.z.prompt=Say: {{ text }}",
            "name=no",
        ],
    )
    assert recipe.train is not None
    assert recipe.train.lr == 1e-4
    assert recipe.as_dict()["filter"][0]["words"] == [3, 9]
    assert recipe.as_dict()["filter"][1]["field"] == "text"
    assert recipe.generate is not None
    assert recipe.generate.fields["z"].model_dump()["prompt"] == "Say: {{ text }}"
    assert recipe.name == "no"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.lrr=1", "Did you mean 'lr'"),
        ("filter.9.x=1", "no item '9'"),
        ("name.x=1", "which has no keys"),
        ("train", "a.b=value"),
        ("train.batch=[1", "not YAML"),
        ("split.val=2", "less than 1"),
    ],
)
def test_wrong_set_names_itself(write: Write, override: str, words: str) -> None:
    """A wrong override is reported like a wrong key, with --set for a file."""
    found = problems(write(), override)
    assert {problem.file for problem in found} == {"--set"}
    assert words in str(found[0])


def test_unknown_recipe_is_told_what_there_is(tmp_path: Path) -> None:
    """A name that is neither a file nor bundled gives the names that are."""
    for ref in ("no-such-recipe", str(tmp_path), "x" * 5000, "a\0b"):
        with pytest.raises(RecipeError, match="one of"):
            load_recipe(ref)


def test_bundled_recipes_load() -> None:
    """Every recipe that is shipped loads by its name."""
    for bundled in bundled_recipes():
        assert load_recipe(bundled.name)._source == str(bundled.path.resolve())


KEYS = st.sampled_from(
    ["version", "name", "task", "kind", "labels", "filter", "length", "words", "generate", "fields",
     "sample", "ask", "prompt", "teachers", "train", "lr", "loss", "signal", "student", "tokenizer",
     "bpe", "evaluate", "on", "data", "x", "price", "config"]
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    LEAVES | KEYS | st.sampled_from(["openai", "classify", "dense", "jsd", "big"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(data=st.dictionaries(KEYS, VALUES, max_size=6))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
def test_any_mapping_is_a_recipe_or_a_recipe_error(tmp_path: Path, data: dict[str, object]) -> None:
    """No mapping makes the schema or the wording of its problems fail in another way."""
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump({"name": "a", "task": {"kind": "generate"}, **data}))
    with suppress(RecipeError):
        load_recipe(path)
