"""Students that reason before they answer, from the recipe to new rows."""

import json

import pytest

from distill.rows.identity import row_ids

pytestmark = pytest.mark.long
FINISH = "Thought: Clear.\nAction: finish[{1}]"


def test_only_the_answer_is_scored(project, tmp_path, monkeypatch):
    """The student writes reasons and a label; figures and predictions speak of the label."""
    monkeypatch.chdir(tmp_path)
    script = [{"when": "about (billing|bug|other)", "answers": ["Said.\nAnswer: {1}"]}]
    teacher = {"kind": "scripted", "script": script}
    recipe = project.write_project(tmp_path, rows=40, student=True, teacher=teacher)
    project.change(recipe, "strategy: label_pool", "strategy: rationale")
    project.change(recipe, "[gold, val], baselines: [majority, zero_shot]", "[gold]")
    project.change(recipe, ", compare: [hard_labels]", "")
    project.change(recipe, "steps: 60", "steps: 100")
    said = project.command("run", recipe, "--json")
    assert said.code == 0, said.err
    text = (tmp_path / "runs/tiny/dataset/train.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert {row["messages"][-1]["content"] for row in rows} == {
        f"Said.\nAnswer: {label}" for label in project.LABELS
    }
    student = said.json["metrics"]["student"]
    assert student["accuracy"]["value"] > 0.9
    assert student["parsed"]["value"] > 0.9
    assert said.json["metrics"]["teacher"]["accuracy"]["value"] == 1.0
    [file] = (tmp_path / "runs/tiny/stages").glob("*-evaluate/answers.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {(line["answered"], line["wrote"]) for line in lines if line["score"]} == {
        (label, f"Said.\nAnswer: {label}") for label in project.LABELS
    }
    gold = [json.loads(line) for line in (tmp_path / "gold.jsonl").read_text().splitlines()]
    assert {line["id"] for line in lines if line["system"] == "student"} == set(row_ids(gold))
    (tmp_path / "new.jsonl").write_text(json.dumps({"text": "case 7 error crash about bug"}) + "\n")
    assert project.command("predict", "runs/tiny", "new.jsonl", "--to", "out.jsonl").code == 0
    found = json.loads((tmp_path / "out.jsonl").read_text())
    assert (found["answer"], found["parsed"]) == ("bug", True)


def test_a_trace_is_learnt_and_its_end_is_scored(project, tmp_path, monkeypatch):
    """The teacher acts before it finishes; the student writes the whole trace; the end counts."""
    monkeypatch.chdir(tmp_path)
    script = [
        {"when": "(?s)about (billing|bug|other).*Observation: 2", "answers": [FINISH]},
        {"when": "about", "answers": ["Thought: Count.\nAction: calculate[1 + 1]"]},
    ]
    teacher = {"kind": "scripted", "script": script}
    recipe = project.write_project(tmp_path, rows=40, student=True, teacher=teacher)
    project.change(
        recipe, "classify, labels: [billing, bug, other]", "generate, input: text, output: label"
    )
    exact = "  - refusal\n  - not_in_gold: {near: null, similarity: null}\n"
    project.change(recipe, "  - refusal\n", exact)
    project.change(recipe, "strategy: label_pool", "strategy: react")
    project.change(recipe, "[gold, val], baselines: [majority, zero_shot]", "[gold]")
    project.change(recipe, ", compare: [hard_labels]", "")
    project.change(recipe, "steps: 60", "steps: 120")
    project.change(recipe, "max_length: 64", "max_length: 128")
    project.change(recipe, "max_position_embeddings: 64", "max_position_embeddings: 128")
    said = project.command("run", recipe, "--json")
    assert said.code == 0, said.err
    metrics = said.json["metrics"]
    assert metrics["teacher"]["rouge_l"]["value"] == 1.0
    assert metrics["student"]["rouge_l"]["value"] > 0.6
    [file] = (tmp_path / "runs/tiny/stages").glob("*-evaluate/answers.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    right = [line for line in lines if line["system"] == "student" and line["score"] == 1]
    assert right
    for line in right:
        assert "Action: calculate[1 + 1]\nObservation: 2\n" in line["wrote"]
        assert line["wrote"].rstrip().endswith(f"finish[{line['answered']}]")
