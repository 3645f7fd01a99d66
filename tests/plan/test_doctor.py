"""One planted fault for every check of the doctor, each named; a healthy recipe has none."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from distill.cli.main import main

TEXTS = ("red", "blue", "green", "old")


@pytest.fixture
def project(tmp_path, tiny):
    """A healthy recipe: a local teacher, a student of its family, four gold rows."""
    shutil.copytree(tiny, tmp_path / "teacher")
    shutil.copytree(tiny, tmp_path / "base")
    rows = [
        {"id": str(at), "input": "Write.", "output": f"the {word} rose is {word} in the garden"}
        for at, word in enumerate(TEXTS)
    ]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "name": "tiny",
        "teachers": {"big": {"kind": "local", "model": "./teacher"}},
        "task": {"kind": "generate"},
        "data": {"pool": "gold.jsonl", "gold": "gold.jsonl"},
        "generate": {"strategy": "label_pool", "ask": "big"},
        "student": {"model": "./base", "method": "lora", "lora": {"r": 2}},
        "train": {"signal": {"kind": "dense"}, "batch": 8, "max_length": 64},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def ask(project, capsys, *more):
    """Exit code and the one object of `distill doctor`."""
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "doctor",
                str(project / "recipe.yaml"),
                "--run-dir",
                str(project / "run"),
                "--json",
                *more,
            ]
        )
    return stop.value.code or 0, json.loads(capsys.readouterr().out)


def config_of(folder, name="config.json"):
    return json.loads((folder / name).read_text())


def write(folder, name, data):
    (folder / name).write_text(json.dumps(data))


def test_a_healthy_recipe_has_no_findings(project, capsys):
    """Every check is told, the masks are shown, and the exit code is 0."""
    code, found = ask(project, capsys)
    assert (code, found["ok"], found["findings"]) == (0, True, [])
    assert {look["check"] for look in found["checks"]} == {
        "tokenizer", "template", "eos", "vocabulary", "padded_vocabulary", "masks", "alignment",
        "memory", "disk", "launcher", "head",
    }  # fmt: skip
    runs = found["masks"][0]["runs"]
    assert [run["learnt"] for run in runs] == [False, True]
    assert runs[1]["text"].startswith("the red rose")


def tokenizer_without_letters(project):
    from tokenizers import Tokenizer, models, pre_tokenizers

    inner = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "the": 2}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(project / "base" / "tokenizer.json"))
    return ()


def template_that_rewrites(project):
    template = "{% if add_generation_prompt %}Q:{% else %}A:{% endif %}{{ messages[0]['content'] }}"
    (project / "base" / "chat_template.jinja").write_text(template)
    return ()


def template_with_another_end(project):
    path = project / "base" / "chat_template.jinja"
    path.write_text(path.read_text().replace("{{ eos_token }}", "<|user|>"))
    return ()


def teacher_with_other_pieces(project):
    path = project / "teacher" / "tokenizer.json"
    told = json.loads(path.read_text())
    vocabulary = told["model"]["vocab"]
    one, other = list(vocabulary)[-2:]
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(told))
    return ()


def tokenizer_larger_than_the_model(project):
    from transformers import AutoTokenizer

    for name in ("base", "teacher"):
        tokenizer = AutoTokenizer.from_pretrained(project / name)
        tokenizer.add_tokens([f"<new{at}>" for at in range(400)])
        tokenizer.save_pretrained(project / name)
    return ()


def rows_longer_than_allowed(project):
    return ("--set", "train.max_length=8")


def damaged_teacher(project):
    from safetensors.torch import load_file, save_file

    path = project / "teacher" / "model.safetensors"
    weights = load_file(path)
    name = "lm_head.weight"
    weights[name] = -weights[name].clone() * 3
    save_file(weights, path, metadata={"format": "pt"})
    return ()


def model_of_a_large_company(project):
    (project / "base" / "model.safetensors").unlink()
    told = config_of(project / "base")
    write(
        project / "base", "config.json", {**told, "hidden_size": 65536, "num_hidden_layers": 4000}
    )
    return ("--set", "student.method=full")


def batch_that_does_not_divide(project):
    return ("--set", "train.processes=3")


def adapter_on_a_tied_head(project):
    told = config_of(project / "base")
    write(project / "base", "config.json", {**told, "tie_word_embeddings": True})
    return ("--set", "student.lora.target_modules=[q_proj, lm_head]")


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        (tokenizer_without_letters, "tokenizer"),
        (template_that_rewrites, "template"),
        (template_with_another_end, "eos"),
        (teacher_with_other_pieces, "vocabulary"),
        (tokenizer_larger_than_the_model, "padded_vocabulary"),
        (rows_longer_than_allowed, "masks"),
        (damaged_teacher, "alignment"),
        (model_of_a_large_company, "memory"),
        (model_of_a_large_company, "disk"),
        (batch_that_does_not_divide, "launcher"),
        (adapter_on_a_tied_head, "head"),
    ],
)
def test_a_planted_fault_is_named(project, capsys, fault, check):
    """The fault's own check finds it, says where and what to do, and the exit code is 2."""
    code, found = ask(project, capsys, *fault(project))
    assert code == 2
    named = [look["check"] for look in found["findings"]]
    assert check in named, found["findings"]
    assert not found["ok"]


def test_other_tokens_are_no_fault_where_they_are_aligned(project, capsys):
    """With cross_tokenizer another vocabulary is what is wanted; WordPiece's cannot be aligned."""
    teacher_with_other_pieces(project)
    aligned = ("--set", "train.signal={kind: topk, from: big, cross_tokenizer: true}")
    code, found = ask(project, capsys, *aligned)
    [look] = [look for look in found["checks"] if look["check"] == "vocabulary"]
    assert (look["state"], "aligned by bytes" in look["told"]) == ("ok", True), look
    tokenizer_without_letters(project)
    code, found = ask(project, capsys, *aligned)
    assert code == 2
    assert "train.signal.cross_tokenizer" in [look["key"] for look in found["findings"]]


def test_the_text_shows_findings_and_masks(project, capsys):
    """Off --json a line per check and the learnt tokens in brackets."""
    with pytest.raises(SystemExit):
        main(["doctor", str(project / "recipe.yaml"), "--run-dir", str(project / "run")])
    out = capsys.readouterr().out
    assert "[the red rose is red in the garden</s>]" in out
    assert "FINDING" not in out


def test_a_fresh_student_is_looked_at_as_far_as_it_exists(project, capsys):
    """With a tokenizer that is yet to be made the looks at it are skipped, not failed."""
    path = project / "recipe.yaml"
    recipe = yaml.safe_load(path.read_text())
    fresh = {"init": "scratch", "tokenizer": {"bpe": 300}, "config": config_of(project / "base")}
    recipe["student"] = fresh
    recipe["train"]["signal"] = {"kind": "text"}
    path.write_text(yaml.safe_dump(recipe))
    code, found = ask(project, capsys)
    states = {look["check"]: look["state"] for look in found["checks"]}
    assert (code, states["tokenizer"], states["masks"]) == (0, "skipped", "skipped")


def test_estimate_gives_the_memory(project, capsys):
    """`distill estimate` tells the student by part and stage, and each local teacher."""
    with pytest.raises(SystemExit) as stop:
        main(["estimate", str(project / "recipe.yaml"), "--json"])
    found = json.loads(capsys.readouterr().out)["gpu_memory"]
    assert not stop.value.code
    student = found["student"]
    parts = ("weights", "gradients", "optimizer", "activations", "head", "teacher")
    assert student["total"] == sum(student[name] for name in parts)
    assert set(found["by_stage"]) == {"none", "zero0", "zero1", "zero2", "zero3"}
    assert found["teachers"]["big"]["bf16"] == 2 * found["teachers"]["big"]["parameters"]
    assert Path(project / "run").exists() is False
