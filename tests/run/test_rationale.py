"""Students that reason before they answer, from the recipe to new rows."""

import json

from distill.rows.identity import row_ids


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
