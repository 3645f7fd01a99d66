"""The untrained student: fresh weights in a folder that loads."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from distill.errors import RecipeError
from distill.train.initialise import make_student


def _make(student, out, source=None, **config):
    spec = {**student, "config": {**student["config"], **config}}
    return make_student(spec, source, ["the sky is blue"] * 3, 5, out)


def test_the_same_seed_gives_the_same_weights(student, tmp_path):
    """Every arm of a comparison starts alike; another seed starts elsewhere."""
    folders = [tmp_path / name for name in ("a", "b", "c")]
    for folder, seed in zip(folders, (5, 5, 6), strict=True):
        make_student(student, None, ["the sky"], seed, folder)
    weights = [(folder / "model.safetensors").read_bytes() for folder in folders]
    assert weights[0] == weights[1] != weights[2]


def test_sizes_and_special_ids_come_from_the_tokenizer(student, tmp_path):
    """What the configuration leaves out is taken from the tokenizer; what it says stays."""
    folder = _make(student, tmp_path, vocab_size=400)
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == 400
    assert model.config.pad_token_id == tokenizer.pad_token_id == 3
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]


def test_a_tokenizer_from_elsewhere_brings_its_ends(base, student, tmp_path):
    """The end ids beside the tokenizer's own model are the student's, in their order."""
    source = tmp_path / "source"
    AutoTokenizer.from_pretrained(base).save_pretrained(source)
    GenerationConfig(eos_token_id=[1, 2]).save_pretrained(source)
    spec = {**student, "tokenizer": "a_teacher"}
    folder = make_student(spec, str(source), (), 5, tmp_path / "out")
    assert GenerationConfig.from_pretrained(folder).eos_token_id == [1, 2]


def test_a_configuration_file_will_do(base, student, tmp_path):
    """`config` may be a config.json."""
    spec = {**student, "config": str(Path(base) / "config.json"), "tokenizer": base}
    folder = make_student(spec, base, (), 5, tmp_path)
    written = json.loads((Path(folder) / "config.json").read_text())
    assert written["hidden_size"] == student["config"]["hidden_size"]


def test_a_named_model_is_left_where_it_is(tmp_path):
    """With `model` there is nothing to write."""
    out = tmp_path / "out"
    assert make_student({"model": "some/model"}, None, (), 1, out) == "some/model"
    assert not out.exists()


@pytest.mark.parametrize(
    ("config", "key", "says"),
    [
        ({"hidden_sizes": 3}, "student.config.hidden_sizes", "hidden_size"),
        ({"model_type": "lama"}, "student.config.model_type", "llama"),
        ({"vocab_size": 9}, "student.config.vocab_size", "Leave vocab_size out"),
        ({"hidden_size": "wide"}, "student.config", ""),
        ({"num_attention_heads": 0}, "student.config", ""),
    ],
)
def test_a_wrong_configuration_is_named(student, tmp_path, config, key, says):
    """The key, what is wrong with it, and the nearest right one."""
    with pytest.raises(RecipeError) as caught:
        _make(student, tmp_path, **config)
    problem = caught.value.problems[0]
    assert problem.key == key
    assert says in (problem.fix or "")
