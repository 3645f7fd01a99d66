"""Stage keys: what a change makes stale, and what it does not."""

import pytest

from distill.recipe.expand import expand
from distill.recipe.load import load_recipe
from distill.run import keys
from distill.run.export.step import export_slice

SLICES = {
    "generate": keys.generate_slice,
    "filter": keys.filter_slice,
    "split": keys.split_slice,
    "train": keys.train_slice,
    "evaluate": keys.evaluate_slice,
    "export": export_slice,
}


@pytest.fixture
def slices(project, tmp_path):
    """What every stage depends on, for the recipe with some overrides."""
    path = project.write_project(tmp_path, student=True)

    def of(*overrides, sources=None):
        recipe = expand(load_recipe(path, overrides))
        return {name: slice(recipe, sources or {}) for name, slice in SLICES.items()}

    of.path = path
    return of


@pytest.mark.parametrize(
    ("override", "stale"),
    [
        ("seed=4", "generate split train"),
        ("teachers.big.temperature=0.5", "generate evaluate"),
        ("teachers.big.concurrency=3", ""),
        ("teachers.big.price={input: 1, output: 1}", "evaluate"),
        ("budget.requests=3", ""),
        ("filter.0.length.words=[1, 2]", "filter"),
        ("generate.max_failed=0.5", ""),
        ("task.system=Be brief.", "split evaluate export"),
        ("split.keep_together=[]", "split"),
        ("train.lr=1e-3", "train"),
        ("train.processes=2", ""),
        ("train.micro_batch=2", ""),
        ("student.config.hidden_size=32", "train"),
        ("student.price={gpu_hour: 2}", "evaluate"),
        ("evaluate.seeds=2", "train evaluate"),
        ("evaluate.require={accuracy: 0.1}", ""),
        ("evaluate.baselines=[]", "evaluate"),
        ("export.license=apache-2.0", "export"),
    ],
)
def test_a_change_reaches_the_stages_that_depend_on_it(slices, override, stale):
    """Each stage's own slice; what comes of earlier stages is in their outputs."""
    before, after = slices(), slices(override)
    assert [name for name in SLICES if before[name] != after[name]] == stale.split()


def test_with_a_target_the_filters_belong_to_generation(slices):
    """They decide how many candidates are asked for."""
    target = "generate.accept=10"
    before, after = slices(target), slices(target, "filter.0.length.words=[1, 2]")
    assert [name for name in SLICES if before[name] != after[name]] == ["generate", "filter"]


def test_the_content_of_files_counts(slices):
    """A data file or prompt that holds something else is something else, whatever its name."""
    before = slices()
    gold = slices.path.with_name("gold.jsonl")
    gold.write_text(gold.read_text() + '{"text": "more", "label": "bug"}\n')
    assert [name for name in SLICES if before[name] != slices()[name]] == ["filter", "evaluate"]


def test_the_weights_of_local_models_count(slices, tmp_path):
    """A teacher or student that was trained again is another one in the same folder."""
    (tmp_path / "model").mkdir()
    weights = tmp_path / "model/model.safetensors"
    teacher = "teachers.near={kind: local, model: model}"
    student = "student={model: model, method: lora}"

    def of():
        return slices(teacher, student, sources={"near": str(tmp_path / "model")})

    weights.write_bytes(b"one")
    before = of()
    weights.write_bytes(b"two")
    assert [name for name in SLICES if before[name] != of()[name]] == ["train", "evaluate"]
