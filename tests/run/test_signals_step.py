"""Signals inside a run: captured once, trained from, audited, never asked a second time."""

import json
import shutil
from pathlib import Path

import pytest

from distill.run.signals.stored_answers import stripped
from teachers.protocol import TokenLogprob

LOCAL = """\
train: {batch: 8, steps: 20, lr: 1.0e-2, max_length: 64,
        signal: {kind: topk, from: near, k: 12}, loss: {kind: forward_kl, weight: 0.7, ce: 0.3}}
"""
STUDENT = """\
student:
  init: scratch
  tokenizer: TOKENIZER
  config: {model_type: llama, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1,
           num_attention_heads: 2, max_position_embeddings: 64}
"""


@pytest.fixture(scope="module")
def folder(project, trained_folder, tmp_path_factory):
    """A recipe whose student learns from the probabilities of a model that was trained before."""
    where = tmp_path_factory.mktemp("signals")
    shutil.copytree(trained_folder / "runs" / "tiny" / "student", where / "near")
    project.write_project(where, more=STUDENT.replace("TOKENIZER", "near") + LOCAL)
    project.change(where / "recipe.yaml", "task:", "  near: {kind: local, model: near}\ntask:")
    return where


@pytest.fixture(scope="module")
def captured(project, folder):
    """The signals of the run, captured by the command of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said = project.command("logits", "capture", "recipe.yaml", "--json")
    assert said.code == 0, said.err + said.out
    return said.json


def test_the_signals_of_a_recipe_are_captured(captured, folder):
    """The cache lies in the run; rows, positions, bytes and the teacher's loss are told."""
    assert (captured["teacher"], captured["way"]) == ("near", "local")
    assert captured["rows"] == captured["stored"] + captured["rows"] > 20
    assert captured["bytes_per_position"] > 0
    assert captured["loss"] < captured["uniform"]
    assert (folder / captured["cache"] / "manifest.json").is_file()
    done = json.loads((folder / "runs/tiny/stages/05-signals/done.json").read_text())
    assert done["details"]["captured"]["rows"] == captured["rows"]


def test_an_audit_finds_rows_and_teacher(captured, folder, project, monkeypatch):
    """By the run's name or the folder: mass, KL to the live teacher, what scoring again gives."""
    monkeypatch.chdir(folder)
    said = project.command("logits", "audit", "tiny", "--json")
    assert said.code == 0, said.err
    found = said.json
    assert found["why"] == {}
    assert 0 < found["kl"]["mean"] < 1
    assert found["rescore"]["max_error_p"] < 0.02
    assert found["contradicted"] == 0
    assert found["covered"]["p05"] <= found["covered"]["p50"] <= 1
    assert found["teacher_loss"]["rows"] < found["teacher_loss"]["uniform"]
    again = project.command("logits", "audit", captured["cache"])
    assert "KL(true || rebuilt)" in again.out
    shutil.copytree(captured["cache"], folder / "elsewhere")
    alone = project.command("logits", "audit", "elsewhere", "--json").json
    assert alone["kl"] is None
    assert "no run" in alone["why"]["rows"]
    assert project.command("logits", "audit", "nothing").code == 2


def test_training_reads_the_cache(captured, folder, project, monkeypatch):
    """The run goes on from its signals, which are up to date; other settings capture anew."""
    monkeypatch.chdir(folder)
    manifest = Path("runs/tiny/signals/manifest.json")
    before = manifest.read_bytes()
    said = project.command("train", "recipe.yaml", "--json")
    assert said.code == 0, said.err + said.out
    assert manifest.read_bytes() == before
    done = json.loads(Path("runs/tiny/stages/06-train/done.json").read_text())
    curve = done["details"]["curves"]["student"]
    assert all("kd_loss" in point for point in curve if "loss" in point)
    assert curve[0]["loss"] == pytest.approx(
        0.7 * curve[0]["kd_loss"] + 0.3 * curve[0]["ce_loss"], rel=1e-4
    )
    changed = ("--set", "train.signal.k=4", "--json")
    other = project.command("logits", "capture", "recipe.yaml", *changed).json
    assert (other["stored"], other["rows"]) == (0, captured["rows"])
    back = project.command("logits", "capture", "recipe.yaml", "--json").json
    assert back["stored"] == back["rows"] == captured["rows"]
    assert manifest.read_bytes() == before


def test_a_damaged_cache_is_told_before_training(captured, folder, project, monkeypatch, tmp_path):
    """A flipped byte is found by the audit and by the training; nothing is trained from it."""
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    [data, *_] = Path("runs/tiny/signals").glob("*.data")
    content = bytearray(data.read_bytes())
    for at in range(40, len(content), 50):
        content[at] ^= 0xFF
    data.write_bytes(content)
    said = project.command("logits", "audit", "tiny")
    assert (said.code, "signal cache" in said.err) == (2, True)
    said = project.command("train", "recipe.yaml", "--set", "train.steps=2")
    assert (said.code, "signal cache" in said.err) == (2, True), said.err


def test_probabilities_that_an_api_told_are_never_asked_again(
    project, trained_folder, tmp_path, monkeypatch
):
    """Generation asks for them with the labels; capture reads the store and sends nothing."""
    monkeypatch.chdir(tmp_path)
    api = {"signal": "{kind: topk, from: big, k: 3}"}
    train = LOCAL.replace("{kind: topk, from: near, k: 12}", api["signal"])
    with project.served(project.Faults(logprobs=True)) as server:
        student = STUDENT.replace("TOKENIZER", "near")
        project.write_project(tmp_path, more=student + train, teacher=server.teacher())
        shutil.copytree(trained_folder / "runs" / "tiny" / "student", tmp_path / "near")
        made = project.command("generate", "recipe.yaml", "--json")
        assert made.code == 0, made.err + made.out
        asked = server.requests
        found = project.command("logits", "capture", "recipe.yaml", "--json")
        assert found.code == 0, found.err
        assert server.requests == asked
        report = found.json
        assert (report["way"], report["rows"]) == ("answers", made.json["rows"][1]["accepted"])
        # A label is one token of both: its alternatives are known, the end token's are not.
        assert report["text_only"] == {}
        assert report["loss"] < 1
        trained = project.command("train", "recipe.yaml", "--json")
        assert trained.code == 0, trained.err
        assert server.requests == asked
    done = json.loads(Path("runs/tiny/stages/06-train/done.json").read_text())
    assert all("kd_loss" in p for p in done["details"]["curves"]["student"] if "loss" in p)


def test_a_student_with_a_tokenizer_of_its_own(project, trained_folder, tmp_path, monkeypatch):
    """With cross_tokenizer the probabilities of other tokens are summed up by the student's."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained_folder / "runs" / "tiny" / "student", tmp_path / "near")
    train = LOCAL.replace("k: 12", "k: 12, cross_tokenizer: true")
    student = STUDENT.replace("TOKENIZER", "{bpe: 270}")
    project.write_project(tmp_path, more=student + train)
    project.change(tmp_path / "recipe.yaml", "task:", "  near: {kind: local, model: near}\ntask:")
    said = project.command("train", "recipe.yaml", "--json")
    assert said.code == 0, said.err + said.out
    done = json.loads(Path("runs/tiny/stages/05-signals/done.json").read_text())["details"]
    assert done["way"] == "aligned"
    assert done["captured"]["loss"] < done["captured"]["uniform"] / 2
    trained = json.loads(Path("runs/tiny/stages/06-train/done.json").read_text())["details"]
    assert all("kd_loss" in p for p in trained["curves"]["student"] if "loss" in p)
    audit = project.command("logits", "audit", "tiny", "--json").json
    assert audit["contradicted"] == 0
    assert "own tokens" in audit["why"]["live"]


def test_a_text_signal_has_nothing_to_capture(project, tmp_path, monkeypatch):
    """The command says so with the key and exits 2."""
    monkeypatch.chdir(tmp_path)
    project.write_project(tmp_path, student=True)
    said = project.command("logits", "capture", "recipe.yaml")
    assert said.code == 2
    assert "train.signal.kind" in said.err


def test_white_space_around_an_answer_is_no_token_of_it():
    """Tokens of white space go; alternatives that become one text are added up."""
    tokens = (
        TokenLogprob("\n", -0.1),
        TokenLogprob(" bug", -0.5, ((" bug", -0.5), ("bug", -2.0), (" other", -3.0))),
        TokenLogprob(" \n", -0.1),
    )
    [kept] = stripped(tokens)
    assert kept.token == "bug"
    assert dict(kept.top)["bug"] == pytest.approx(-0.2985, abs=1e-3)
    assert dict(kept.top)["other"] == -3.0
