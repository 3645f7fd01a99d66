"""The smallest recipe of each task kind, run whole on a CPU: it beats what knows nothing.

The teachers follow rules and what is held out is worded otherwise, so the figures say what the
student learnt. classify is the quickstart (test_quickstart.py).
"""

import json
from collections import Counter

import pytest

from distill.measure.rouge import rouge_l
from distill.recipe.check import check
from distill.recipe.load import bundled_folder, load_recipe
from distill.rows.readers import read_numbered, read_records
from distill.run.walk import run_recipe

EXAMPLES = bundled_folder() / "examples"
KINDS = {
    "tiny-extract": "extract",
    "tiny-generate": "generate",
    "tiny-grounded": "grounded",
    "tiny-judge-absolute": "judge_absolute",
    "tiny-judge-pairwise": "judge_pairwise",
}


def gold(name):
    """The held-out rows of an example."""
    return read_records(EXAMPLES / load_recipe(name).data.gold)


def dataset(folder, name):
    """Fields of the rows that the student learnt."""
    lines = (folder / f"runs/{name}/dataset/train.jsonl").read_text().splitlines()
    return [json.loads(line)["fields"] for line in lines]


def value(report, metric, system="student"):
    """One figure of a report."""
    return report["metrics"][system][metric]["value"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder in which all examples are run: `compare` needs them side by side."""
    folder = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def predicted(project, folder, name):
    """What `distill predict` adds to the held-out rows; `compare` reads the run too."""
    found = project.command("compare", name, name, "--json").json
    measured = load_recipe(name).evaluate is not None
    tests = [(test["n"], test["difference"]["value"]) for test in found["tests"]]
    assert tests == ([(len(gold(name)), 0.0)] if measured else [])
    rows = EXAMPLES / load_recipe(name).data.gold
    said = project.command("predict", name, rows, "--to", folder / f"{name}.out.jsonl", "--json")
    assert said.code == 0, said.err
    assert said.json["rows"] == len(gold(name))
    return read_records(folder / f"{name}.out.jsonl")


@pytest.mark.slow
def test_extraction(place, project):
    """Orders put in other words than any that were learnt; the commonest answer has 1 in 100."""
    report = run_recipe(load_recipe("tiny-extract"))
    held = gold("tiny-extract")
    learnt = Counter(row["order"] for row in dataset(place, "tiny-extract"))
    commonest = json.loads(learnt.most_common(1)[0][0])
    majority = sum(row["order"] == commonest for row in held) / len(held)
    assert report["metrics"]["student"]["exact"]["low"] > majority + 0.2
    assert value(report, "valid") > 0.9
    assert sum(row["parsed"] for row in predicted(project, place, "tiny-extract")) > 50


@pytest.mark.slow
def test_generation(place, project):
    """Replies to messages with other greetings; the message itself, copied, is the baseline."""
    report = run_recipe(load_recipe("tiny-generate"))
    held = gold("tiny-generate")
    copied = sum(rouge_l(row["message"], row["reply"]) for row in held) / len(held)
    assert report["metrics"]["student"]["rouge_l"]["low"] > copied + 0.3
    assert all(row["answer"] for row in predicted(project, place, "tiny-generate"))


@pytest.mark.slow
def test_a_judge_of_single_answers(place, project):
    """On instructions that it never saw it beats the commonest grade, and its report says so."""
    name = "tiny-judge-absolute"
    report = run_recipe(load_recipe(name))
    instructions = {row["instruction"] for row in dataset(place, name)}
    assert not instructions & {row["instruction"] for row in gold(name)}
    said = project.command(
        "judge", "eval", EXAMPLES / "tiny/grades.jsonl", "--judge", name, "--json"
    )
    passport = said.json
    assert passport["accuracy"]["low"] > passport["reference_lines"]["majority"]["value"] + 0.2
    assert passport["absolute"]["kappa_quadratic"]["value"] > 0.6
    assert passport["accuracy"]["n"] == len(gold(name))
    assert value(report, "accuracy") == pytest.approx(passport["accuracy"]["value"], abs=0.05)
    assert sum(row["parsed"] for row in predicted(project, place, name)) > 35


@pytest.mark.slow
def test_a_judge_of_pairs(place, project):
    """In both orders, on instructions that it never saw, against majority and longer wins."""
    name = "tiny-judge-pairwise"
    run_recipe(load_recipe(name))
    said = project.command(
        "judge", "eval", EXAMPLES / "tiny/pairs.jsonl", "--judge", name, "--json"
    )
    passport = said.json
    lines = passport["reference_lines"]
    for order in ("order_ab", "order_ba"):
        assert passport[order]["low"] > lines["majority"]["value"]
        assert passport[order]["low"] > lines["longer"]["value"]
    assert passport["both_right"]["value"] > lines["majority"]["value"]
    assert passport["consistency"]["n"] == len(gold(name))
    predicted(project, place, name)


@pytest.mark.slow
def test_grounded_answers(place, project):
    """Answers with their citations, or that nothing is said, on things that are new."""
    name = "tiny-grounded"
    report = run_recipe(load_recipe(name))
    held = gold(name)
    answered = [row["answer"] for row in predicted(project, place, name)]
    right = sum(said == row["answer"] for said, row in zip(answered, held, strict=True))
    commonest = Counter(row["answer"] for row in dataset(place, name)).most_common(1)[0][0]
    majority = sum(row["answer"] == commonest for row in held) / len(held)
    assert report["metrics"]["student"]["exact"]["low"] > majority
    assert majority < right / len(held) <= value(report, "exact")  # which leaves citations out
    assert value(report, "citation_recall") > 0.5


@pytest.mark.parametrize("name", KINDS)
def test_examples_are_sound(name):
    """Nothing is missing, and judges are held to instructions on other topics."""
    recipe = load_recipe(name)
    assert recipe.task.kind == KINDS[name]
    found = check(recipe, {}, read_numbered)
    assert not found.problems
    assert not found.missing_keys
    if "topic" in recipe.generate.fields:  # of instructions
        topics = recipe.generate.fields["topic"].sample
        assert not [row for row in gold(name) if any(f" {t}" in row["instruction"] for t in topics)]
