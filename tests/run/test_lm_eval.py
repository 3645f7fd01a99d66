"""A task of lm-eval, of local files alone, through a whole run (extra `lm-eval`)."""

import json

import pytest

TASK = """\
task: mini_about
dataset_path: json
dataset_kwargs: {data_files: {test: FOLDER/docs.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: "{{choices}}"
doc_to_target: "{{gold}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
LABELS = ["billing", "bug", "other"]


@pytest.mark.slow
def test_a_local_task_is_measured_before_and_after(project, tmp_path, monkeypatch):
    """Nothing is fetched; both students answer the same documents, and the report holds both."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: the extra lm-eval")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    project.write_project(tmp_path, student=True)
    docs = [{"q": f"case {at} about", "choices": LABELS, "gold": at % 3} for at in range(30)]
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (tmp_path / "mini.yaml").write_text(TASK.replace("FOLDER", str(tmp_path)))
    suite = "{tasks: [mini_about], task_folder: ., questions: false, limit: 12}"
    project.change(tmp_path / "recipe.yaml", "compare: [hard_labels]}", f"forgetting: {suite}}}")
    said = project.command("run", "recipe.yaml", "--json")
    assert said.code == 0, said.err + said.out
    found = said.json["forgetting"]["mini_about"]
    assert found["metric"] == "acc"
    assert found["student"]["n"] == found["student_before"]["n"] == found["difference"]["n"] == 12
