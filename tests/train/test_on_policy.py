"""The student learns on its own words: which steps, what is drawn, and that it helps."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from distill.progress import silent
from distill.signals.types import TokenLogp
from distill.train import stage
from distill.train.collate import Collator, EncodedRow
from distill.train.on_policy import Writer, is_own_step
from distill.train.stage import train
from teachers.local_model import LocalModel

REVERSE = {"signal": {"kind": "dense"}, "loss": {"kind": "reverse_kl", "weight": 1.0, "ce": 0.5}}


@pytest.mark.parametrize(("fraction", "own"), [(0.0, 0), (0.25, 5), (0.3, 6), (1.0, 20)])
def test_the_share_of_own_steps(fraction, own):
    """Spread evenly over the training."""
    steps = [is_own_step(step, fraction) for step in range(20)]
    assert sum(steps) == own
    for upto in range(1, 21):
        assert abs(sum(steps[:upto]) - fraction * upto) <= 1


def _writer(packing=False):
    collator = Collator(0, packing=packing)
    return Writer(collator, ends=(2,), pad_id=0, max_length=24, most_tokens=9, seed=3)


def _rows(ready):
    rows = list(ready.rows.rows[:4])
    text = EncodedRow("t", 99, torch.tensor([5, 6, 7]), torch.tensor([-100, 6, 7]), text_only=True)
    return [*rows, text]


def test_own_answers_follow_from_the_seed(make_plan, base):
    """Same prompts, new answers; alike in any batch, packed or padded; rows of text stay."""
    ready = stage._prepare(make_plan(max_length=24))
    rows, model = _rows(ready), AutoModelForCausalLM.from_pretrained(base)
    found = {}
    for packing in (False, True):
        writer = _writer(packing)
        batch = writer.collator(rows)
        own = writer.rewritten(model, batch, 7, together=False)
        found[packing] = stage_rows = _unpack(own)
        for before, after in zip(rows, stage_rows, strict=True):
            start = int((before.labels_T != -100).nonzero()[0])
            assert torch.equal(after.input_ids_T[:start], before.input_ids_T[:start])
            assert after.tokens <= 24
            assert 1 <= after.supervised <= 9
            assert torch.equal(after.labels_T[start:], after.input_ids_T[start:])
        assert torch.equal(stage_rows[4].input_ids_T, rows[4].input_ids_T)
    for one, other in zip(found[False], found[True], strict=True):
        assert torch.equal(one.input_ids_T, other.input_ids_T)
    alone = _writer().rewritten(model, Collator(0)(rows[1:2]), 7, together=False)
    assert torch.equal(_unpack(alone)[0].input_ids_T, found[False][1].input_ids_T)
    other = _writer().rewritten(model, Collator(0)(rows[1:2]), 8, together=False)
    assert not torch.equal(_unpack(other)[0].input_ids_T, found[False][1].input_ids_T)
    assert model.training is False


def _unpack(batch):
    from distill.train.on_policy import _rows as rows_of

    return rows_of(batch)


def test_the_divergence_on_its_own_samples_falls(make_plan, teacher_folder):
    """Every step on the student's own words, at temperature 1: KL(student || teacher) goes down."""
    plan = make_plan(steps=60, lr=2e-2, on_policy=1.0, max_length=24, **REVERSE)
    result = train(plan, lambda: LocalModel.load(teacher_folder), silent)
    kd = [point["kd_loss"] for point in result.curve if "kd_loss" in point]
    assert sum(kd[-5:]) < 0.7 * sum(kd[:5])
    losses = [point["loss"] for point in result.curve if "loss" in point]
    assert losses == pytest.approx(kd, rel=1e-4)  # no cross-entropy on what the student wrote


def test_given_and_own_answers_take_turns(make_plan, teacher_folder, write_rows, records, tmp_path):
    """Half the steps; micro-batches change nothing; val is measured on what was given."""
    changes = {"val_path": write_rows(tmp_path / "val.jsonl", records(5))}
    give = lambda: LocalModel.load(teacher_folder)  # noqa: E731
    settings = {"steps": 4, "on_policy": 0.5, "max_length": 24, "changes": changes, **REVERSE}
    whole = train(make_plan("8x1", micro_batch=8, **settings), give, silent)
    split = train(make_plan("2x4", micro_batch=2, packing=True, **settings), give, silent)
    for name in ("loss", "val_loss"):
        curves = [[p[name] for p in r.curve if name in p] for r in (whole, split)]
        assert curves[0] == pytest.approx(curves[1], abs=1e-3)
    only = make_plan("none", micro_batch=8, **{**settings, "on_policy": 0.0})
    assert train(only, give, silent).curve[0]["loss"] == pytest.approx(whole.curve[0]["loss"])


class _Scorer:
    """A teacher that is only asked what each written token is worth."""

    def __init__(self, folder):
        self.model = LocalModel.load(folder).model
        self.asked = 0

    def token_logp(self, rows, tokenizer):
        self.asked += len(rows)
        found = []
        for row in rows:
            ids = torch.from_numpy(row.ids_T.astype("int64"))
            with torch.no_grad():
                logits = self.model(ids[None]).logits[0, :, : len(tokenizer)]
            at = torch.from_numpy(row.positions_N.astype("int64"))
            logp = logits.log_softmax(-1)[at - 1, ids[at]]
            found.append(TokenLogp(logp.numpy()))
        return found


def test_a_scored_signal_trains_on_own_words(make_plan, teacher_folder, write_rows, tmp_path):
    """Sampled reverse KL from the log-probability of each token; rows of text are not scored."""
    text = [{"id": f"t-{at}", "text": "the old cat is very old"} for at in range(3)]
    mix = [{"rows_path": write_rows(tmp_path / "mix.jsonl", text), "share": 0.25}]
    loss = {"kind": "sampled_reverse_kl", "weight": 1.0, "ce": 0.5}
    settings = {"signal": {"kind": "token"}, "loss": loss, "on_policy": 0.5, "max_length": 24}
    scorer = _Scorer(teacher_folder)
    plan = make_plan(steps=4, lr=1e-3, changes={"mix": mix}, **settings)
    result = train(plan, lambda: scorer, silent)
    assert scorer.asked == 2 * 6  # half of four steps, three quarters of eight rows
    # Steps 2 and 4 are the student's own: an estimate of KL(student || teacher), which is positive.
    own = [point["kd_loss"] for point in result.curve if point.get("step") in (2, 4)]
    assert min(own) > 0
    packed = make_plan("packed", steps=4, lr=1e-3, packing=True, changes={"mix": mix}, **settings)
    again = train(packed, lambda: _Scorer(teacher_folder), silent)
    assert again.curve[1]["kd_loss"] == pytest.approx(result.curve[1]["kd_loss"], rel=1e-3)


def test_mixed_in_text_keeps_its_whole_weight(make_plan, teacher_folder, write_rows, tmp_path):
    """In a step on own words, which have no cross-entropy, rows of text have weight + ce."""
    text = [{"id": f"t-{at}", "text": "the old cat is very old"} for at in range(3)]
    mix = [{"rows_path": write_rows(tmp_path / "mix.jsonl", text), "share": 0.5}]

    def loss(name, **weights):
        settings = {"signal": {"kind": "dense"}, "loss": {"kind": "reverse_kl", **weights}}
        settings |= {"steps": 1, "on_policy": 1.0, "max_length": 24}
        plan = make_plan(name, changes={"mix": mix}, **settings)
        return train(plan, lambda: LocalModel.load(teacher_folder), silent).curve[0]

    text_alone = loss("text", weight=0.0, ce=1.0)["loss"]
    assert text_alone > 1.0
    assert loss("half", weight=0.0, ce=0.5)["loss"] == pytest.approx(text_alone / 2, rel=1e-4)
    both = loss("both", weight=0.25, ce=0.75)
    own = both["loss"] - text_alone
    assert 0 < own < 0.25 * both["kd_loss"]  # its share of all tokens
