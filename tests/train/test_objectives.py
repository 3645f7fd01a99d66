"""Continued pre-training, mixed-in data, preference distillation and early stopping."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from distill.errors import DataError, RecipeError
from distill.progress import silent
from distill.train import stage
from distill.train.collate import Blend, EncodedPair, EncodedRow, OrderedRows
from distill.train.preference import REFERENCE_FILE
from distill.train.stage import train
from teachers.local_model import LocalModel

DENSE = {"signal": {"kind": "dense"}, "loss": {"kind": "forward_kl", "weight": 0.9, "ce": 0.1}}


def _losses(result):
    return [point["loss"] for point in result.curve if "loss" in point]


def _texts(count, start=0):
    words = ("the sky is blue", "a rose is red", "old cat", "grass is green and very old")
    return [
        {"id": f"t-{at}", "text": " ".join(words[(at * k + k) % 4] for k in range(1, 4 + at % 3))}
        for at in range(start, start + count)
    ]


def _pairs(count, start=0):
    def turns(role, text):
        return [{"role": role, "content": text}]

    return [
        {
            "id": f"p-{at}",
            "prompt": turns("user", f"rose {at % 7} is"),
            "chosen": turns("assistant", ("red", "red rose", "very red")[at % 3]),
            "rejected": turns("assistant", ("green", "blue", "a green cat")[at % 3]),
            "fields": {},
        }
        for at in range(start, start + count)
    ]


@pytest.fixture
def rows_file(tmp_path, write_rows):
    return lambda name, records: write_rows(tmp_path / f"{name}.jsonl", records)


def test_raw_text_is_cut_into_windows_and_learnt_whole(make_plan, rows_file):
    """Every token but a window's first is learnt; nothing is lost, and the text is closed."""
    path = rows_file("text", _texts(3))
    ready = stage._prepare(make_plan(changes={"rows_path": path}, objective="clm", max_length=8))
    ids = [token for row in ready.rows.rows for token in row.input_ids_T.tolist()]
    want = []
    for record in _texts(3):
        text = ready.tokenizer(record["text"], add_special_tokens=False)["input_ids"]
        begin = ready.tokenizer.bos_token_id
        want += [*([] if begin is None else [begin]), *text, ready.tokenizer.eos_token_id]
    assert [token for token in ids if token in want] == ids
    assert len(want) - len(ids) <= 3  # a last window of one token has nothing to predict
    for row in ready.rows.rows:
        assert row.labels_T[0] == -100
        assert torch.equal(row.labels_T[1:], row.input_ids_T[1:])
        assert 2 <= row.tokens <= 8
    assert ready.rows.truncated == 0


def test_continued_pre_training_learns_text(make_plan, rows_file):
    """Packed windows; the loss is plain cross-entropy whatever the weights of `loss`."""
    changes = {"rows_path": rows_file("text", _texts(8)), "val_path": rows_file("v", _texts(3, 8))}
    settings = {"objective": "clm", "packing": True, "max_length": 16, "lr": 1e-2}
    result = train(make_plan("one", steps=30, changes=changes, **settings), None, silent)
    assert result.loss_last < 0.6 * result.loss_first
    assert result.curve[0]["loss"] == pytest.approx(result.curve[0]["ce_loss"], rel=1e-4)
    again = make_plan("two", steps=1, changes=changes, loss={"ce": 7.0}, **settings)
    assert train(again, None, silent).loss_first == pytest.approx(result.loss_first, rel=1e-6)


def test_mixed_in_rows_keep_to_their_share():
    """At every point of the training, shuffled on their own; each own row comes once a turn."""
    rows = [EncodedRow(str(at), at, torch.arange(3), torch.arange(3)) for at in range(10)]
    order = OrderedRows(
        rows[:6], steps=10, batch=4, seed=1, blends=[Blend(rows[6:8], 0.25), Blend(rows[8:], 0.1)]
    )
    keys = [order[at].key for at in range(40)]
    assert sum(key in (6, 7) for key in keys) == 10
    assert sum(key > 7 for key in keys) == 4
    for at in range(1, 41):
        assert abs(sum(key in (6, 7) for key in keys[:at]) - 0.25 * at) <= 1
    own = [key for key in keys if key < 6]
    assert sorted(own[:6]) == sorted(own[6:12]) == list(range(6))
    assert [order[at].key for at in (39, 3, 17)] == [keys[39], keys[3], keys[17]]


@pytest.mark.parametrize("packing", [False, True])
def test_mixed_in_rows_are_learnt_from_their_text(make_plan, rows_file, teacher_folder, packing):
    """Beside a dense signal they have cross-entropy with weight + ce, and no distillation term."""
    mix = [{"rows_path": rows_file("mix", _texts(5)), "share": 0.5}]
    plan = make_plan("mixed", steps=1, packing=packing, changes={"mix": mix}, **DENSE)
    result = train(plan, lambda: LocalModel.load(teacher_folder), silent)
    ready = stage._prepare(plan)
    order = OrderedRows(ready.rows.rows, steps=1, batch=8, seed=0, blends=ready.blends)
    student = AutoModelForCausalLM.from_pretrained(plan.base)
    reader = AutoModelForCausalLM.from_pretrained(teacher_folder)
    width, weighted, kd, told, count = len(ready.tokenizer), 0.0, 0.0, 0, 0
    for at in range(8):
        row = order[at]
        keep = [t for t in range(row.tokens - 1) if row.labels_T[t + 1] != -100]
        targets = row.labels_T[1:][row.labels_T[1:] != -100]
        with torch.no_grad():
            ours = student(row.input_ids_T[None]).logits[0, keep].double()
            theirs = reader(row.input_ids_T[None]).logits[0, keep, :width].double().log_softmax(-1)
        ce = -float(ours.log_softmax(-1)[range(len(keep)), targets].sum())
        gap = theirs - ours[:, :width].log_softmax(-1)
        weighted += ce if row.text_only else 0.9 * float((theirs.exp() * gap).sum()) + 0.1 * ce
        kd += 0.0 if row.text_only else float((theirs.exp() * gap).sum())
        told += 0 if row.text_only else len(keep)
        count += len(keep)
    assert 0 < told < count
    assert result.loss_first == pytest.approx(weighted / count, rel=1e-4)
    assert result.curve[0]["kd_loss"] == pytest.approx(kd / told, rel=1e-4)


def test_the_preference_loss_is_the_written_formula(make_plan, rows_file, base):
    """Before and after training: -log sigmoid(beta (gain of chosen - gain of rejected))."""
    path = rows_file("pairs", _pairs(4))
    settings = {"objective": "dpo", "dpo": {"beta": 0.5, "ce": 0.2}, "batch": 4, "lr": 1e-2}
    changes = {"rows_path": path, "val_path": path}
    plan = make_plan("pairs", steps=4, changes=changes, **settings)
    result = train(plan, None, silent)
    ready = stage._prepare(plan)

    def logp(model, row):
        keep = row.labels_T[1:] != -100
        with torch.no_grad():
            logq = model(row.input_ids_T[None]).logits[0, :-1].double().log_softmax(-1)
        return float(logq[keep].gather(1, row.labels_T[1:][keep][:, None]).sum())

    before = AutoModelForCausalLM.from_pretrained(base)
    after = AutoModelForCausalLM.from_pretrained(result.model_dir)
    loss = nll = right = 0.0
    for pair in ready.rows.rows:
        gains = [logp(after, side) - logp(before, side) for side in (pair.chosen, pair.rejected)]
        loss += math.log1p(math.exp(-0.5 * (gains[0] - gains[1]))) / 4
        nll -= logp(after, pair.chosen) / pair.chosen.supervised / 4
        right += gains[0] > gains[1]
    first_nll = -sum(logp(before, p.chosen) / p.chosen.supervised for p in ready.rows.rows) / 4
    assert result.loss_first == pytest.approx(math.log(2) + 0.2 * first_nll, rel=1e-4)
    assert result.val_loss == pytest.approx(loss + 0.2 * nll, rel=1e-3)
    assert result.pairs == {"right": right, "n": 4}
    stored = load_file(Path(plan.out_dir) / REFERENCE_FILE)
    kept = dict(zip(stored["keys_P"].tolist(), stored["logp_P2"].tolist(), strict=True))
    assert sorted(kept) == list(range(8))
    for pair in ready.rows.rows:
        want = [logp(before, pair.chosen), logp(before, pair.rejected)]
        assert kept[pair.key] == pytest.approx(want, abs=1e-3)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_held_out_preferences_are_told_right(make_plan, rows_file, base, method):
    """Above chance on pairs that were not trained on; no second model is loaded."""
    student = {"model": base, "method": method, "lora": {"r": 4, "alpha": 8}}
    changes = {
        "rows_path": rows_file("pairs", _pairs(24)),
        "val_path": rows_file("val", _pairs(12, 100)),
        "student": student,
    }
    mix = [{"rows_path": rows_file("mix", _texts(5)), "share": 0.25}]
    settings = {
        "objective": "dpo",
        "steps": 24,
        "packing": True,
        "lr": 1e-2 if method == "full" else 5e-2,
    }
    result = train(make_plan(changes={**changes, "mix": mix}, **settings), None, silent)
    assert result.pairs["right"] >= 11
    assert result.loss_last < result.loss_first


def test_preferences_in_micro_batches_and_after_a_stop(make_plan, rows_file):
    """Batch 1 x accumulation 8 = 8 x 1; a continued training takes the stored reference."""
    changes = {"rows_path": rows_file("pairs", _pairs(12))}
    settings = {"objective": "dpo", "steps": 6, "lr": 1e-2, "changes": changes}
    whole = train(make_plan("whole", micro_batch=8, **settings), None, silent)
    split = train(make_plan("split", micro_batch=1, **settings), None, silent)
    assert _losses(split) == pytest.approx(_losses(whole), abs=1e-5)

    class Stopped(Exception):
        pass

    def stop(progress):
        if progress.done == 4:
            raise Stopped

    plan = make_plan("cut", micro_batch=8, **settings)
    with pytest.raises(Stopped):
        train(plan, None, stop)
    resumed = train(plan, None, silent)
    assert _losses(resumed) == _losses(whole)


def test_rows_of_the_wrong_kind_are_refused(make_plan, rows_file):
    """Preferences need dpo, and dpo preferences."""
    path = rows_file("pairs", _pairs(4))
    for changes, objective in (({"rows_path": path}, "distill"), ({}, "dpo")):
        with pytest.raises(DataError) as caught:
            train(make_plan(changes=changes, objective=objective), None, silent)
        assert caught.value.problems[0].key == "train.objective"
    assert isinstance(
        stage._prepare(make_plan(changes={"rows_path": path}, objective="dpo")).rows.rows[0],
        EncodedPair,
    )


def test_a_training_stops_when_val_gets_no_better(make_plan, rows_file, records):
    """The weights that were best on val are kept, and what is reported is theirs."""
    other = records(16)[8:]
    for row in other:  # what val wants is the opposite of what is trained
        row["messages"][1]["content"] = "very old grass"
    changes = {"val_path": rows_file("val", other)}
    plan = make_plan(steps=60, lr=3e-2, early_stop=True, changes=changes)
    result = train(plan, None, silent)
    looks = [point["val_loss"] for point in result.curve if "val_loss" in point]
    assert result.steps < 60
    assert result.val_loss == pytest.approx(min(looks), abs=1e-5)
    assert looks[-1] == result.val_loss
    with pytest.raises(RecipeError, match=r"train\.early_stop"):
        train(make_plan("none", early_stop=True), None, silent)
