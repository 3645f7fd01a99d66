"""Whole trainings of a tiny BERT on labels and soft labels."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from distill.errors import DataError, RecipeError
from distill.losses.core import per_token_loss
from distill.progress import silent
from distill.recipe.training import Train
from distill.train.initialise import make_student
from distill.train.plan import TrainPlan
from distill.train.stage import train
from teachers.local_classifier import LocalClassifier, is_classifier

LABELS = ("red", "green", "blue")
BERT = {
    "model_type": "bert", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
    "num_attention_heads": 2, "max_position_embeddings": 24,
    "initializer_range": 0.2, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
PROMPT = {
    "task": {"kind": "classify", "input": "text", "output": "label", "labels": list(LABELS)},
    "template": "{{ input }}",
}
SPEC = {"kind": "classifier", "init": "scratch", "config": BERT, "tokenizer": {"bpe": 290}}
SOFT = {"signal": {"kind": "labels"}}


def row(at, **more):
    label = LABELS[at % 3]
    text = f"case {at} of a {('rose', 'grass', 'sky')[at % 3]}"
    return {"id": f"r{at:03}", "messages": [], "fields": {"text": text, "label": label, **more}}


def voted(at):
    votes = {LABELS[at % 3]: 2, LABELS[(at + 1) % 3]: 1}
    return row(at, **({"label_votes": votes} if at % 4 else {}))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """An untrained classifier."""
    texts = [row(at)["fields"]["text"] for at in range(30)]
    out = tmp_path_factory.mktemp("bert")
    return make_student(SPEC, None, texts, 4, out, labels=LABELS)


@pytest.fixture
def plan_of(tmp_path, fresh, write_rows):
    """A plan over 24 rows; keywords change `train`."""

    def make(name="out", make_row=row, changes=None, **settings):
        rows = write_rows(tmp_path / f"{make_row.__name__}.jsonl", [make_row(n) for n in range(24)])
        plan = TrainPlan(
            rows_path=rows, val_path=rows, student=SPEC, base=fresh, output="label",
            train={"batch": 8, "steps": 6, "max_length": 64, "lr": 5e-3, **settings},
            out_dir=str(tmp_path / name), prompt=PROMPT, soft=("label",),
        )  # fmt: skip
        return replace(plan, **(changes or {}))

    return make


def weights(result):
    return load_file(Path(result.model_dir) / "model.safetensors")


def largest_difference(one, other):
    ours, theirs = weights(one), weights(other)
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


def test_it_learns_labels_and_answers_alike_everywhere(plan_of, fresh):
    """The loss falls; our adapter and the hub's own pipeline choose the same labels."""
    result = train(plan_of(steps=80, lr=1e-2), None, silent)
    assert result.loss_last < 0.1 * result.loss_first
    assert [point["val_accuracy"] for point in result.curve if "val_loss" in point][-1] == 1
    assert result.trainable_share == 1
    assert is_classifier(result.model_dir)
    assert not list(Path(result.model_dir).rglob("*.bin"))
    texts = [row(at)["fields"]["text"] for at in (50, 51, 52)]
    model = LocalClassifier.load(result.model_dir)
    ours = model.choice_logp([model.tokenizer(text)["input_ids"] for text in texts], LABELS)
    theirs = pipeline("text-classification", result.model_dir)(texts)
    assert [max(one, key=one.get) for one in ours] == [one["label"] for one in theirs]
    assert math.exp(max(ours[0].values())) == pytest.approx(theirs[0]["score"], abs=1e-5)


def test_the_first_loss_is_the_written_formula(plan_of, fresh):
    """sum(w KD + ce CE) / rows, and rows without votes get CE with w + ce."""
    loss = {"kind": "jsd", "weight": 0.8, "ce": 0.3, "temperature": 1.5}
    result = train(plan_of(make_row=voted, batch=24, steps=1, loss=loss, **SOFT), None, silent)
    model = AutoModelForSequenceClassification.from_pretrained(fresh)
    tokenizer = AutoTokenizer.from_pretrained(fresh)
    total = 0.0
    spec = Train.model_validate({"loss": loss}).loss
    for record in map(voted, range(24)):
        fields = record["fields"]
        logits = model(**tokenizer(fields["text"], return_tensors="pt")).logits
        ce = -float(logits.log_softmax(-1)[0, LABELS.index(fields["label"])].detach())
        if votes := fields.get("label_votes"):
            shares = torch.tensor([[votes.get(label, 0) / 3 for label in LABELS]])
            kd = float(per_token_loss(logits, shares.log().clamp(min=-1e4), spec).detach())
            total += 0.8 * kd + 0.3 * ce
        else:
            total += 1.1 * ce
    assert result.loss_first == pytest.approx(total / 24, rel=1e-4)
    assert result.soft_rows == 18


@pytest.mark.parametrize("kind", ["forward_kl", "skew_kl", "skew_reverse_kl", "tvd"])
def test_losses_over_labels_move_towards_the_votes(plan_of, kind):
    """With distillation alone the student's probabilities become the teacher's."""
    loss = {"kind": kind, "weight": 1.0, "ce": 0.0}
    result = train(plan_of(make_row=voted, steps=80, lr=1e-2, loss=loss, **SOFT), None, silent)
    model = LocalClassifier.load(result.model_dir)
    ids = [model.tokenizer(voted(at)["fields"]["text"])["input_ids"] for at in (1, 2)]
    shares = [
        math.exp(one[LABELS[at % 3]])
        for at, one in zip((1, 2), model.choice_logp(ids, LABELS), strict=True)
    ]
    assert shares == pytest.approx([2 / 3, 2 / 3], abs=0.2)


def test_micro_batches_change_nothing(plan_of):
    """Accumulation gives the trajectory of whole batches."""
    settings = {"make_row": voted, **SOFT}
    whole = train(plan_of("whole", micro_batch=8, **settings), None, silent)
    parts = train(plan_of("parts", micro_batch=2, **settings), None, silent)
    # Weights whose gradient is nothing but rounding (key biases) go their own ways under AdamW.
    losses = [[point["loss"] for point in one.curve if "loss" in point] for one in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert whole.val_loss == pytest.approx(parts.val_loss, abs=1e-5)


class _Stopped(Exception):
    pass


def test_an_interrupted_training_ends_as_if_it_had_not_been(plan_of, fresh, tmp_path):
    """Stopped after step 8 of 10 and started again, with dropout: bit-equal weights."""
    base = shutil.copytree(fresh, tmp_path / "dropout")
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 0.2}))

    def stop(progress):
        if progress.done == 8:
            raise _Stopped

    changes = {"base": str(base)}
    whole = train(plan_of("whole", steps=10, changes=changes), None, silent)
    plan = plan_of("cut", steps=10, changes=changes)
    with pytest.raises(_Stopped):
        train(plan, None, stop)
    steps = []
    resumed = train(plan, None, lambda progress: steps.append(progress.done))
    assert min(steps[1:]) > 1
    assert largest_difference(whole, resumed) == 0


def test_lora_trains_adapter_and_head(plan_of, fresh):
    """The adapter names its base, holds the head, and answers through it."""
    student = {"kind": "classifier", "model": fresh, "method": "lora", "lora": {"r": 4}}
    result = train(plan_of(steps=40, lr=2e-2, changes={"student": student}), None, silent)
    told = json.loads((Path(result.model_dir) / "adapter_config.json").read_text())
    assert told["task_type"] == "SEQ_CLS"
    assert "classifier" in told["modules_to_save"]
    assert 0 < result.trainable_share < 0.5
    assert is_classifier(result.model_dir)
    model = LocalClassifier.load(result.model_dir)
    ids = [model.tokenizer(row(at)["fields"]["text"])["input_ids"] for at in (50, 51, 52)]
    chosen = [max(one, key=one.get) for one in model.choice_logp(ids, LABELS)]
    assert chosen == ["blue", "red", "green"]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_it_stops_when_val_gets_no_better(plan_of, fresh, write_rows, tmp_path, method):
    """The weights that were best on val are kept, and what is reported is theirs."""
    other = [row(at + 1) | {"fields": {**row(at)["fields"], "label": "red"}} for at in range(1, 9)]
    changes = {"val_path": write_rows(tmp_path / "val.jsonl", other)}
    if method == "lora":
        changes["student"] = {"kind": "classifier", "model": fresh, "method": "lora"}
    result = train(plan_of(steps=60, lr=2e-2, early_stop=True, changes=changes), None, silent)
    looks = [point["val_loss"] for point in result.curve if "val_loss" in point]
    assert result.steps < 60
    assert result.val_loss == looks[-1] == pytest.approx(min(looks), abs=1e-5)


def test_long_texts_are_cut_where_the_positions_end(plan_of):
    """A text beyond the model's positions is cut in training and in use, and counted."""

    def long(at):
        return row(at) | {"fields": row(at)["fields"] | {"text": "a rose is a rose " * 30}}

    result = train(plan_of(make_row=long, steps=1), None, silent)
    assert result.truncated_rows == 24
    model = LocalClassifier.load(result.model_dir)
    assert model.tokenizer.model_max_length == BERT["max_position_embeddings"]


def test_a_model_gets_a_new_head_unless_it_knows_the_labels(tmp_path, fresh):
    """As many labels of other names are another task; the same names in another order are not."""
    spec = {"kind": "classifier", "model": fresh}
    before = AutoModelForSequenceClassification.from_pretrained(fresh)
    other = make_student(spec, None, (), 1, tmp_path / "other", labels=("x", "y", "z"))
    head = AutoModelForSequenceClassification.from_pretrained(other)
    assert head.config.label2id == {"x": 0, "y": 1, "z": 2}
    assert not torch.equal(head.classifier.weight, before.classifier.weight)
    assert torch.equal(
        head.bert.embeddings.word_embeddings.weight, before.bert.embeddings.word_embeddings.weight
    )
    same = make_student(spec, None, (), 1, tmp_path / "same", labels=LABELS[::-1])
    kept = AutoModelForSequenceClassification.from_pretrained(same)
    assert kept.config.label2id == before.config.label2id
    assert torch.equal(kept.classifier.weight, before.classifier.weight)


def test_what_cannot_be_learnt_is_refused(plan_of):
    """A signal that no row tells, a strange label, and an endless loss."""
    with pytest.raises(DataError, match="no row tells a distribution"):
        train(plan_of("none", **SOFT), None, silent)
    with pytest.raises(RecipeError, match="endless"):
        train(plan_of("kl", make_row=voted, loss={"kind": "reverse_kl"}, **SOFT), None, silent)

    def strange(at):
        return {"id": "x", "messages": [], "fields": {"text": "t", "label": "purple"}}

    with pytest.raises(DataError, match="purple"):
        train(plan_of("strange", make_row=strange), None, silent)


@pytest.mark.slow
@pytest.mark.parametrize("deepspeed", [None, "zero2", "zero3"])
def test_two_processes_equal_one(plan_of, tmp_path, deepspeed):
    """Data parallelism and ZeRO change neither the losses nor the figures on val."""
    from distill.run.train.launch import train_in_processes

    settings = {"make_row": voted, "micro_batch": 2, **SOFT}
    alone = train(plan_of("alone", **settings), None, silent)
    both = train_in_processes(plan_of("both", deepspeed=deepspeed, **settings), None, 2, silent)
    for name in ("loss", "val_loss", "val_accuracy"):
        curves = [[point[name] for point in one.curve if name in point] for one in (alone, both)]
        assert curves[0] == pytest.approx(curves[1], abs=1e-4)
    assert weights(both).keys() == weights(alone).keys()
