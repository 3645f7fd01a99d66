"""The rubrics that come with the package, and where a name of one is understood."""

import pytest
import yaml

from distill.errors import RecipeError
from distill.recipe.bundled_rubrics import bundled_rubrics, rubric_source, rubrics_of, told
from distill.recipe.expand import expand
from distill.recipe.load import load_recipe
from distill.recipe.rubrics import read_rubric
from distill.recipe.strategy_options import JudgeDataOptions
from distill.run.judge.judges import _rubric_text

NAMES = ["factuality", "faithfulness", "format", "helpfulness", "policy-compliance", "style"]


def recipe(tmp_path, **options):
    data = {
        "name": "r",
        "teachers": {"big": {"kind": "scripted"}},
        "task": {"kind": "judge_absolute", "scale": options.pop("scale", {"min": 1, "max": 5})},
        "data": {"pool": "pool.jsonl"},
        "generate": {"strategy": "judge_data", "ask": "big", "options": options},
    }
    (tmp_path / "pool.jsonl").write_text('{"instruction": "Say hello."}\n')
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(data))
    return load_recipe(tmp_path / "r.yaml")


def test_every_rubric_describes_each_level_of_its_scale():
    assert list(bundled_rubrics()) == NAMES
    for name, path in bundled_rubrics().items():
        rubric = read_rubric(path.read_text(), name)
        assert rubric.steps == ("1", "2", "3", "4", "5")
        assert all(f"\n- {step}: " in rubric.text for step in rubric.steps), name


def test_a_name_stands_for_the_whole_file():
    assert rubric_source(None, "style") == bundled_rubrics()["style"].read_text()
    assert told(rubric_source(None, "style"), "style").startswith("# Style")
    assert told("Be short.", "given") == "Be short."


def test_rows_of_a_judge_carry_the_texts_of_named_rubrics(tmp_path):
    made = expand(recipe(tmp_path, rubrics=["factuality", "Be short.", "style"]))
    texts = made.generate.fields["rubric"].sample
    assert [text.splitlines()[0] for text in texts] == ["# Factuality", "Be short.", "# Style"]
    assert not any("scale:" in text for text in texts)


def test_a_file_of_rubrics_stays_a_file(tmp_path):
    given = recipe(tmp_path, rubrics="rubrics.jsonl")
    assert rubrics_of(given, JudgeDataOptions(rubrics="rubrics.jsonl")) == "rubrics.jsonl"


def test_a_rubric_on_another_scale_than_the_judges_is_refused(tmp_path):
    given = recipe(tmp_path, rubrics=["style"], scale=["fail", "pass"])
    with pytest.raises(RecipeError) as error:
        expand(given)
    assert "scale of this rubric is 1, 2, 3, 4, 5" in str(error.value)
    (tmp_path / "own.md").write_text("---\nscale: [fail, pass]\n---\nIs it kind?\n")
    made = expand(recipe(tmp_path, rubrics="own.md", scale=["fail", "pass"]))
    assert made.generate.fields["rubric"].sample == ["Is it kind?"]


def test_the_command_reads_a_name_a_file_and_a_text(tmp_path):
    path = tmp_path / "own.md"
    path.write_text("---\nscale: [fail, pass]\n---\nIs it kind?\n")
    assert told(_rubric_text("style"), "style").startswith("# Style")
    assert told(_rubric_text(str(path)), "own") == "Is it kind?"
    assert told(_rubric_text("Is it short?"), "given") == "Is it short?"
