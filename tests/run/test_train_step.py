"""Training inside a run: signals, adapters, learning rates, and what goes wrong."""

import json

import pytest

from distill.errors import DataError, RecipeError, RunError
from distill.recipe.load import load_recipe
from distill.run.walk import run_recipe

pytestmark = pytest.mark.long

STORIES = """\
version: 1
name: stories
seed: 1
teachers:
  writer: {kind: local, recipe: teacher.yaml, temperature: 0.8, max_tokens: 12, concurrency: 16}
task: {kind: generate, input: opening, output: story}
data: {pool: openings.jsonl, gold: gold.jsonl}
generate:
  fields:
    story: {ask: writer, prompt: "{{ opening }}", truncated: accept}
split: {train: 0.8, val: 0.2}
student:
  init: scratch
  tokenizer: writer
  config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
train:
  signal: {kind: dense, from: writer}
  loss: {kind: forward_kl, weight: 0.9, ce: 0.1}
  batch: 8
  steps: 5
  lr: 1.0e-2
  max_length: 48
evaluate: {on: [gold], compare: [text]}
"""
TEACHER = """\
version: 1
name: stories-teacher
task: {kind: generate, input: opening, output: story}
data: {pool: openings.jsonl}
generate:
  fields:
    story: {render: "{{ opening }} the end"}
student:
  init: scratch
  tokenizer: {bpe: 300}
  config: {model_type: llama, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
train: {batch: 8, steps: 5, lr: 1.0e-2, max_length: 48}
"""


def run(path, *overrides, **options):
    return run_recipe(load_recipe(path, overrides), **options)


@pytest.fixture(scope="module")
def stories(tmp_path_factory, project):
    """A run whose teacher is the student of another recipe and gives every token's probability."""
    folder = tmp_path_factory.mktemp("stories")
    texts = [text for text, _ in project.texts(32)]
    rows = [json.dumps({"opening": text}) for text in texts[:24]]
    (folder / "openings.jsonl").write_text("\n".join(rows))
    gold = [json.dumps({"opening": text, "story": f"{text} the end"}) for text in texts[24:]]
    (folder / "gold.jsonl").write_text("\n".join(gold))
    (folder / "teacher.yaml").write_text(TEACHER)
    (folder / "stories.yaml").write_text(STORIES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        report = run(folder / "stories.yaml")
    return folder, report


def test_a_teacher_from_another_recipe_gives_its_probabilities(stories):
    """It is trained inside this run; loss and KL to it are measured for every student."""
    folder, report = stories
    assert (folder / "runs/stories/teachers/writer/student/config.json").is_file()
    for system in ("student", "student_before", "text"):
        figures = report["metrics"][system]
        assert figures["kl_to_teacher"]["value"] > 0
        assert figures["loss"]["value"] > 0
    assert report["metrics"]["teacher"]["rouge_l"]["value"] is not None
    signal, text = (report["curves"][arm][0] for arm in ("student", "text"))
    assert "kd_loss" in signal
    assert "kd_loss" not in text


def test_a_teacher_that_was_trained_again_is_another_one(stories, monkeypatch):
    """What it was asked, and whoever learnt from it, is stale once its weights are others."""
    folder, before = stories
    monkeypatch.chdir(folder)
    heard = []
    run("stories.yaml", listen=heard.append)
    fresh = [event.stage for event in heard if event.note == "up to date"]
    # Those of the teacher's own recipe come first.
    of_teacher = ["generate", "filter", "split", "train", "export"]
    assert fresh == [*of_teacher, *of_teacher[:4], "evaluate", "export"]
    text = (folder / "teacher.yaml").read_text()
    (folder / "teacher.yaml").write_text(text.replace("steps: 5", "steps: 6"))
    after = run("stories.yaml")
    (folder / "teacher.yaml").write_text(text)
    kl = [r["metrics"]["student"]["kl_to_teacher"]["value"] for r in (before, after)]
    assert kl[0] != kl[1]
    assert after["cost"]["requests"] > before["cost"]["requests"]


def test_a_lora_student_is_merged_at_the_end(trained, project, tmp_path, monkeypatch):
    """A student from a local folder is adapted; the export is a whole model that loads alone."""
    from transformers import AutoModelForCausalLM

    monkeypatch.chdir(tmp_path)
    recipe = project.write_project(tmp_path)
    lora = {"model": str(trained / "runs/tiny/student"), "method": "lora", "lora": {"r": 2}}
    more = "train: {batch: 8, steps: 4, lr: 1.0e-2, max_length: 64}\n"
    recipe.write_text(f"{recipe.read_text()}student: {json.dumps(lora)}\n{more}")
    report = run(recipe)
    assert 0 < report["training"]["trainable_share"] < 0.5
    student = tmp_path / "runs/tiny/student"
    assert not (student / "adapter_config.json").exists()
    assert AutoModelForCausalLM.from_pretrained(student).num_parameters() > 1000
    assert json.loads((student / "distill.json").read_text())["merge"]


def test_learning_rates_are_searched_on_val(project, workdir):
    """The rate with the best score on val serves; one that ends in no number only loses."""
    recipe = project.write_project(workdir, student=True)
    project.change(recipe, "lr: 2.0e-2", "lr: [2.0e-2, 1.0e+30]")
    project.change(recipe, "compare: [hard_labels]", "compare: []")
    run(recipe, "train.steps=4", until="train")
    done = json.loads((workdir / "runs/tiny/stages/06-train/done.json").read_text())
    rates = done["details"]["rates"]["student"]
    assert rates["lr"] == 0.02
    assert [found["lr"] for found in rates["searched"]] == [0.02, 1e30]
    with pytest.raises(RunError, match=r"train\.lr: the training of student diverged"):
        run(recipe, "train.steps=4", "train.lr=1e30", until="train")


def test_a_search_without_val_rows_is_refused(project, workdir):
    """Several rates and nothing to compare them on: the recipe is wrong, no number divided by 0."""
    recipe = project.write_project(workdir, student=True)
    with pytest.raises(RecipeError, match="val holds no row"):
        run(recipe, "train.lr=[0.01, 0.02]", "split.train=1", "split.val=0", "evaluate.on=[gold]")


def test_nothing_is_trained_on_no_rows(project, workdir):
    """When the filters leave nothing, the message says what they dropped."""
    recipe = project.write_project(workdir, student=True)
    project.change(recipe, "words: [3, 9]", "words: [80, 90]")
    with pytest.raises(DataError, match=r"no row survived the filters \(length:too_short 40\)"):
        run(recipe)
