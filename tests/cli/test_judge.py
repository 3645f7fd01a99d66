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
        "judge", "eval", rows, "--verdicts", verdicts, "--to-review", to, "--out",
        tmp_path / "page.html", "--json",
    )  # fmt: skip
    assert "How far to trust the judge" in (tmp_path / "page.html").read_text("utf-8")
    assert said.code == 0
    assert (said.json["truncated"], said.json["systems"]["spearman"]["value"]) == (None, None)
    assert said.json["reference_lines"]["random"]["over"] == ["a", "b"]
    assert {
        "n", "parsed", "errors", "accuracy", "accuracy_failures_wrong", "order_ab", "order_ba",
        "both_right", "consistency", "position", "macro_f1", "kappa", "absolute",
        "reference_lines", "calibration", "slices", "worst", "cost",
    } <= said.json.keys()  # fmt: skip
    assert said.json["accuracy"]["value"] == pytest.approx(2 / 3)
    assert said.json["consistency"]["value"] == 1
    assert [json.loads(line)["id"] for line in to.read_text().splitlines()] == [2]


def test_verdicts_of_another_project(project, tmp_path):
    """Nested judgments by path; flips that all end in a tie lean nowhere, which is no error."""
    rows = tmp_path / "rows.jsonl"
    said = [[{"decision": "A>B"}, {"decision": "A=B"}], [{"decision": "B>A"}, {"decision": "A>B"}]]
    lines = [
        {"pair_id": f"p{at}", "question": "q", "response_A": "x", "response_B": "y",
         "label": "A>B", "judgments": both}
        for at, both in enumerate(said)
    ]  # fmt: skip
    rows.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    where = "verdict=judgments.0.decision,raw_ba=judgments.1.decision"
    found = project.command("judge", "eval", rows, "--map", where, "--json")
    assert found.code == 0
    assert [found.json[name]["value"] for name in ("order_ab", "order_ba")] == [0.5, 0.0]
    assert (
        "of 1 flips 0 lean to the first"
        in project.command("judge", "eval", rows, "--map", where).out
    )
    wrong = project.command("judge", "eval", rows, "--judge", "x:y", "--map", where)
    assert (wrong.code, "beside --judge" in wrong.err) == (2, True)


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
        (["--verdict-column", "said", "--probe", "3"], "--probe asks a judge"),
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
        "teachers": {
            "big": {"kind": "scripted", "script": script},
            "endless": {"kind": "scripted", "script": [{"when": "", "answers": ["more " * 600]}]},
        },
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
    assert (first["truncated"], second["truncated"], second["truncated_unknown"]) == (0, 0, 0)
    said = project.command("judge", "eval", rows, "--judge", "recipe.yaml:endless", "--json").json
    assert (said["truncated"], said["errors"], said["accuracy"]["value"]) == (3, 3, None)


SCORED = [
    {"id": at, "instruction": f"q{at}", "response": "good" if at % 2 else "bad",
     "score": None if at >= 12 else at % 2, "big": at % 2, "p": 0.9 if at % 3 else 0.4}
    for at in range(20)
]  # fmt: skip


def test_other_judges_pass_rate_and_cascade(project, tmp_path):
    """McNemar against teacher and predecessor, the corrected pass rate, the cascade's curve."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(map(json.dumps, SCORED)), encoding="utf-8")
    verdicts = tmp_path / "now.jsonl"
    said = [{"id": r["id"], "score": r["big"] if r["p"] > 0.5 else 1 - r["big"], "p": r["p"]}
            for r in SCORED]  # fmt: skip
    verdicts.write_text("\n".join(map(json.dumps, said)), encoding="utf-8")
    before = tmp_path / "before.jsonl"
    before.write_text("\n".join(json.dumps({"id": r["id"], "score": 0}) for r in SCORED))
    args = ("judge", "eval", rows, "--verdicts", verdicts, "--previous", before,
            "--teacher-column", "big", "--teacher-cost", "4")  # fmt: skip
    found = project.command(*args, "--json").json
    assert found["compared"]["teacher"]["difference"]["value"] == pytest.approx(-4 / 12)
    assert found["compared"]["previous"]["test"] == "mcnemar"
    rate = found["pass_rate"]
    assert (rate["labelled"], rate["unlabelled"], rate["pass_at"]) == (12, 8, 1.0)
    assert rate["sensitivity"]["value"] == pytest.approx(4 / 6)
    assert found["cascade"]["best"]["agreement"]["value"] == 1.0
    assert found["cascade"]["best"]["handed"] == pytest.approx(4 / 12)
    assert found["probes"] is None
    text = project.command(*args).out
    assert "against previous: accuracy" in text
    assert "cascade: as good as the teacher alone" in text
    assert "corrected" in text


def test_a_judge_is_probed(project, rows, tmp_path, monkeypatch):
    """A teacher that obeys what an answer tells it gains on that probe alone."""
    monkeypatch.chdir(tmp_path)
    script = [
        {"when": "A: [^\\n]*\\s*Note to the judge", "answers": ["VERDICT: A"]},
        {"when": "B: [^\\n]*\\s*Note to the judge", "answers": ["VERDICT: B"]},
        {"when": "A: (long one|longer)", "answers": ["VERDICT: A"]},
        {"when": "B: (long one|longer)", "answers": ["VERDICT: B"]},
    ]
    recipe = {
        "version": 1,
        "name": "probing",
        "task": {"kind": "judge_pairwise", "prompt": "A: {{ a }}\nB: {{ b }}"},
        "teachers": {"big": {"kind": "scripted", "script": script}},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe), encoding="utf-8")
    args = ("judge", "eval", rows, "--judge", "recipe.yaml:big", "--probe", 3)
    probes = project.command(*args, "--json").json["probes"]
    assert probes["injection"]["gained"]["value"] == 1.0
    assert probes["padding"]["gained"]["value"] == 0.0
    assert "probe injection: gained 100.0%" in project.command(*args).out
