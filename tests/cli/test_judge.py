"""`distill judge` as it is typed."""

import json

import pytest

PAIRS = [
    {"id": 1, "instruction": "p", "a": "long one", "b": "short", "winner": "a", "said": "a"},
    {"id": 2, "instruction": "q", "a": "x", "b": "longer", "winner": "a", "said": "b"},
    {"id": 3, "instruction": "r", "a": "x", "b": "longer", "winner": "b", "said": "b"},
]


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)), encoding="utf-8")
    return path


def test_recorded_verdicts(project, rows, tmp_path):
    """A verdict file in both orders gives every key of the contract; disagreements go to a file."""
    verdicts = tmp_path / "verdicts.jsonl"
    lines = [{"id": row["id"], "order": order, "winner": row["said"]}
             for row in PAIRS for order in ("ab", "ba")]  # fmt: skip
    verdicts.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    to = tmp_path / "review.jsonl"
    said = project.command(
        "judge", "eval", rows, "--verdicts", verdicts, "--to-review", to, "--json"
    )
    assert said.code == 0
    assert {
        "n", "parsed", "errors", "accuracy", "accuracy_failures_wrong", "order_ab", "order_ba",
        "both_right", "consistency", "position", "macro_f1", "kappa", "absolute",
        "reference_lines", "calibration", "slices", "worst", "cost",
    } <= said.json.keys()  # fmt: skip
    assert said.json["accuracy"]["value"] == pytest.approx(2 / 3)
    assert said.json["consistency"]["value"] == 1
    assert [json.loads(line)["id"] for line in to.read_text().splitlines()] == [2]


def test_a_gate_that_is_missed(project, rows):
    """Exit 1 with the figures and the error in one object."""
    said = project.command(
        "judge", "eval", rows, "--verdict-column", "said", "--fail-under", "accuracy=0.9,parse=0.9",
        "--json",
    )  # fmt: skip
    assert said.code == 1
    assert said.json["accuracy"]["value"] == pytest.approx(2 / 3)
    assert [problem["key"] for problem in said.json["error"]["problems"]] == ["accuracy"]


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--verdict-column", "said", "--verdicts", "rows.jsonl"], "more than one of"),
        (["--verdict-column", "nobody"], "there is no column 'nobody'"),
        (["--fail-under", "accuracy"], "not NAME=VALUE"),
        (["--verdict-column", "said", "--fail-under", "beauty=1"], "no figure 'beauty'"),
        (["--judge", "nowhere"], "'nowhere' is no judge"),
        (["--map", "winner=nothing"], "there is no column 'nothing'"),
    ],
)
def test_wrong_usage_says_what_is_allowed(project, rows, flags, word):
    """Exit 2, one line, no traceback."""
    said = project.command("judge", "eval", rows, *flags)
    assert said.code == 2
    assert word in said.err
    assert said.err.count("\n") == 1


def test_a_teacher_of_a_recipe_as_the_judge(project, rows, tmp_path, monkeypatch):
    """RECIPE:TEACHER asks it in both orders, behind its store: a second call costs nothing."""
    monkeypatch.chdir(tmp_path)
    longer = "(long one|longer)"
    script = [
        {"when": f"A: {longer}", "answers": ["Long.\nVERDICT: A"]},
        {"when": f"B: {longer}", "answers": ["Long.\nVERDICT: B"]},
    ]
    recipe = {
        "version": 1,
        "name": "judging",
        "task": {"kind": "judge_pairwise", "prompt": "A: {{ a }} B: {{ b }}"},
        "teachers": {"big": {"kind": "scripted", "script": script}},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    first, second = (
        project.command("judge", "eval", rows, "--judge", "recipe.yaml:big", "--json").json
        for _ in range(2)
    )
    assert first["accuracy"]["value"] == pytest.approx(2 / 3)
    assert first["consistency"]["value"] == 1
    assert first["cost"]["requests"] == 6
    assert second["accuracy"] == first["accuracy"]
