"""A classifier student through the whole product: trained, measured, exported, asked."""

import json

import pytest

pytestmark = pytest.mark.long

BERT = """\
student:
  kind: classifier
  init: scratch
  tokenizer: {bpe: 300}
  config: {model_type: bert, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 40, initializer_range: 0.2}
train: {batch: 8, steps: 40, lr: [1.0e-2, 5.0e-3], max_length: 64}
evaluate: {on: [gold, val], baselines: [majority], compare: [hard_labels]}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory, project):
    """A finished run of a classifier, from a teacher that votes."""
    folder = tmp_path_factory.mktemp("classifier")
    recipe = project.write_project(folder, more=BERT)
    voted = """generate:
  fields: {label: {ask: big, prompt: "{{ text }}", choices: labels, votes: 3}}"""
    project.change(recipe, "generate: {strategy: label_pool, ask: big}", voted)
    said = project.command("run", recipe, "--run-dir", folder / "run", "--json")
    assert said.code == 0, said.err
    return folder / "run", said.json


def test_it_is_reported_beside_the_others(made):
    """Quality, speed and tokens of the student before, after and on hard labels."""
    run, report = made
    metrics = report["metrics"]
    assert {"teacher", "student", "student_before", "hard_labels", "majority"} <= metrics.keys()
    assert metrics["student"]["accuracy"]["value"] > metrics["majority"]["accuracy"]["value"]
    assert metrics["student"]["rows_per_s"]["value"] > 0
    assert report["training"]["soft_rows"] > 20
    done = json.loads((run / "stages/06-train/done.json").read_text())
    assert len(done["details"]["rates"]["student"]["searched"]) == 2


def test_it_is_exported_and_answers(made, project, tmp_path):
    """The folder tells its labels and prompt; predict and the hub's pipeline agree on the label."""
    from transformers import pipeline

    run, _ = made
    facts = json.loads((run / "student/distill.json").read_text())
    assert facts["kind"] == "classifier"
    assert facts["prompt"]["template"] == "{{ text }} ->"
    assert "pipeline_tag: text-classification" in (run / "student/README.md").read_text()
    texts = [text for text, _ in project.texts(6, start=2000)]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    said = project.command("predict", run, rows, "--to", tmp_path / "out.jsonl", "--json")
    assert said.json["parsed"] == 6
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    ask = pipeline("text-classification", str(run / "student"))
    theirs = ask([f"{text} ->" for text in texts])
    assert [one["answer"] for one in answers] == [one["label"] for one in theirs]
    assert [one["p"] for one in answers] == pytest.approx(
        [one["score"] for one in theirs], abs=1e-4
    )


def test_a_classifier_is_a_teacher_too(made, project, tmp_path):
    """Another recipe asks the exported classifier to label its pool."""
    run, _ = made
    teacher = {"kind": "local", "model": str(run / "student")}
    recipe = project.write_project(tmp_path, rows=6, teacher=teacher)
    said = project.command("generate", recipe, "--run-dir", tmp_path / "labelled", "--json")
    assert said.code == 0, said.err
    train = (tmp_path / "labelled/dataset/train.jsonl").read_text().splitlines()
    fields = json.loads(train[0])["fields"]
    assert set(fields["label_logp"]) == {"billing", "bug", "other"}
