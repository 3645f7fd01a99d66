"""Packed rows do not see each other: loss and gradients are those of separate ones."""

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MambaConfig

from distill.errors import RecipeError
from distill.losses.fused_loss import HeadTargets
from distill.progress import silent
from distill.recipe.training import ForwardKL
from distill.train.collate import IGNORED, Collator, EncodedRow
from distill.train.fused_head import FusedHead, head_terms
from distill.train.self_test import packing_test
from distill.train.stage import train
from teachers.local_model import LocalModel

V = 50
CONFIGS = {
    "llama": LlamaConfig(
        vocab_size=V, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2,
    ),
    "gpt2": GPT2Config(vocab_size=V, n_embd=16, n_layer=2, n_head=2),
    "mamba": MambaConfig(vocab_size=V, hidden_size=16, num_hidden_layers=2, state_size=4),
}  # fmt: skip


def _model(name, dtype=torch.float64, attention=None):
    torch.manual_seed(1)
    options = {"attn_implementation": attention} if attention else {}
    model = AutoModelForCausalLM.from_config(CONFIGS[name], **options).to(dtype).eval()
    FusedHead.install(model)
    return model


def _rows():
    torch.manual_seed(2)
    rows = []
    for at, length in enumerate((7, 3, 5, 4)):
        ids = torch.randint(V, (length,))
        labels = ids.where(torch.rand(length) < 0.7, IGNORED)
        labels[0], labels[-1] = IGNORED, ids[-1]
        rows.append(EncodedRow(str(at), at, ids, labels))
    return rows


def _terms(model, batch):
    labels = batch["labels"][:, 1:]
    keep = labels != IGNORED
    targets = HeadTargets(labels[keep], ForwardKL(), keep_BT=keep)
    return head_terms(model, batch, targets)


def _gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("width", [None, 9])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_packed_equals_separate(name, attention, width):
    """In float64 to 1e-9: the loss and the gradient of every parameter."""
    near = 1e-9 if attention == "sdpa" else 1e-6  # eager attention rounds its softmax to float32
    model = _model(name, attention=attention)
    model.train(name == "llama")  # which has no dropout; a model in training keeps no cache
    rows = _rows()
    alone = [_terms(model, Collator(0)([row])).weighted for row in rows]
    want = _gradients(model, sum(alone))
    packed = _terms(model, Collator(0, packing=True, width=width)(rows)).weighted
    found = _gradients(model, packed)
    assert float(packed.detach()) == pytest.approx(float(sum(alone).detach()), abs=near)
    assert found.keys() == want.keys()
    for key, gradient in found.items():
        assert (gradient - want[key]).abs().max() < near, key


def test_a_model_that_mixes_packed_rows_is_refused():
    """What reads from one row into the next is found out before the first step."""
    batch = Collator(0, packing=True)(_rows())
    targets = HeadTargets(torch.zeros(0, dtype=torch.long), ForwardKL())
    packing_test(_model("llama", torch.float32), batch, targets)
    with pytest.raises(RecipeError) as caught:
        packing_test(_model("mamba", torch.float32), batch, targets)
    problem = caught.value.problems[0]
    assert problem.key == "train.packing"
    assert "mamba" in problem.found


DENSE = {"signal": {"kind": "dense"}, "loss": {"kind": "forward_kl", "weight": 0.9, "ce": 0.1}}


@pytest.mark.parametrize("steps", [3, 8], ids=["live teacher", "remembered teacher"])
def test_a_packed_training_is_the_same_training(
    make_plan, teacher_folder, write_rows, records, tmp_path, steps
):
    """With a dense signal and validation: the losses of a training that pads."""
    changes = {"val_path": write_rows(tmp_path / "val.jsonl", records(5))}
    give = lambda: LocalModel.load(teacher_folder)  # noqa: E731
    settings = {"steps": steps, "micro_batch": 4, "changes": changes, **DENSE}
    padded = train(make_plan("padded", **settings), give, silent)
    packed = train(make_plan("packed", packing=True, **settings), give, silent)
    pairs = zip(padded.curve, packed.curve, strict=True)
    for one, other in pairs:
        for name in ("loss", "val_loss", "kd_loss"):
            assert one.get(name) == pytest.approx(other.get(name), abs=2e-4)
