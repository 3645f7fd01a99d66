"""The base model on the ladder, and students of other runs beside the student."""

import json

import pytest

LADDER = (
    "evaluate: {on: [gold], baselines: [zero_shot, few_shot, chain_of_thought, react], "
    "few_shot: [1, 2], against: [OTHER]}"
)
OWN = "evaluate: {on: [gold, val], baselines: [majority, zero_shot], compare: [hard_labels]}"


def test_the_base_model_climbs_and_another_runs_student_stands_beside(
    project, tmp_path, trained_folder, monkeypatch
):
    """Examples come from train, level by label; the other run's figures are its own."""
    recipe = project.write_project(tmp_path, student=True)
    project.change(recipe, OWN, LADDER.replace("OTHER", str(trained_folder / "runs/tiny")))
    project.change(recipe, "steps: 60", "steps: 2")
    project.change(recipe, "max_position_embeddings: 64", "max_position_embeddings: 128")
    project.change(recipe, "name: tiny", "name: small")
    monkeypatch.chdir(tmp_path)
    said = project.command("run", recipe, "--json")
    assert said.code == 0, said.err + said.out
    metrics, ladder = said.json["metrics"], said.json["ladder"]
    rungs = {"few_shot_1", "few_shot_2", "chain_of_thought", "react"}
    assert set(metrics) == {"teacher", "student", "student_before", "zero_shot", "tiny"} | rungs
    assert ladder["asked"] == "student_before"
    assert ladder["few_shot"]["source"] == "train"
    assert len(ladder["few_shot"]["ids"]) == 2
    assert metrics["few_shot_1"]["parsed"]["value"] == 1
    assert (
        metrics["few_shot_2"]["tokens_per_row"]["value"]
        > metrics["zero_shot"]["tokens_per_row"]["value"]
    )
    assert metrics["chain_of_thought"]["accuracy"]["n"] == 18
    earlier = json.loads((trained_folder / "runs/tiny/report.json").read_text())["metrics"]
    assert metrics["tiny"]["accuracy"] == earlier["student"]["accuracy"]
    assert "verbatim" not in metrics["student"]
    assert {one["set"] for one in said.json["significance"]} == {"gold"}


@pytest.mark.parametrize(
    ("new", "key", "words"),
    [
        ("baselines: [retrieval]", "evaluate.baselines.0", "documents"),
        ("ask: nobody", "evaluate.ask", "nobody"),
        ("judge: nobody", "evaluate.judge", "nobody"),
        ("few_shot: [0]", "evaluate.few_shot.0", "1"),
        ("against: elsewhere", "evaluate.against", "neither a teacher nor a run"),
    ],
)
def test_who_cannot_be_asked_is_said_before_anything_is_paid(
    project, tmp_path, monkeypatch, new, key, words
):
    """One sentence that names the key; nothing has run."""
    recipe = project.write_project(tmp_path, student=True)
    project.change(recipe, OWN, f"evaluate: {{on: [gold], {new}}}")
    monkeypatch.chdir(tmp_path)
    said = project.command("run", recipe, "--json")
    assert said.code == 2
    problem = said.json["error"]["problems"][0]
    assert problem["key"] == key
    assert words in json.dumps(problem)
    assert not (tmp_path / "runs/tiny/stages").exists()
