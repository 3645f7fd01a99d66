"""Training from a signal cache: the live signal within the codec, mixed rows, refusals."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from distill.capture.local import capture, local_identity
from distill.errors import DataError, RecipeError
from distill.losses.fused_loss import HeadTargets
from distill.progress import silent
from distill.recipe.training import Train
from distill.signals.cache import CacheWriter, SignalCache
from distill.signals.settings import CaptureSettings
from distill.signals.types import TextOnly, TokenLogp, TopK, from_lists
from distill.train.cached_signal import CachedSignal, signal_row
from distill.train.collate import Collator
from distill.train.plan import TrainPlan
from distill.train.stage import encoded_rows, train
from teachers.local_model import LocalModel

WORDS = ("red", "green", "blue", "the", "sky", "grass", "rose", "very", "old")
LOSS = {"kind": "forward_kl", "weight": 0.9, "ce": 0.1}
DENSE = {"signal": {"kind": "dense"}, "loss": LOSS}
TOPK = {"signal": {"kind": "topk"}, "loss": LOSS}
EVERYTHING = CaptureSettings(k=10_000, codec="raw")


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory, base, student):
    """A model that was trained on rows like these for a moment: it knows more than a guess."""
    folder = tmp_path_factory.mktemp("knows")
    turns = [(f"{a} is", f"{b} cat") for a in WORDS for b in WORDS]
    rows = [
        {"id": str(at), "messages": [{"role": "user", "content": asked + "?"},
                                     {"role": "assistant", "content": said}]}
        for at, (asked, said) in enumerate(turns)
    ]  # fmt: skip
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"batch": 16, "steps": 80, "lr": 1e-2, "max_length": 64}
    plan = TrainPlan(
        rows_path=str(path), student=student, base=base, train=settings, out_dir=str(folder / "out")
    )
    return train(plan, None, silent).model_dir


@pytest.fixture(scope="module")
def teacher(teacher_folder):
    return LocalModel.load(teacher_folder)


@pytest.fixture
def cached(make_plan, teacher, tmp_path, write_rows, records):
    """Makes a plan with validation rows, and the cache of its signals."""

    def make(settings, *, name="cached", **options):
        val = write_rows(tmp_path / "val.jsonl", records(5))
        folder = tmp_path / f"{name}-signals"
        changes = {"val_path": val, "signals": str(folder)}
        plan = make_plan(name, changes=changes, **{**TOPK, **options})
        tokenizer, rows = encoded_rows(plan)
        asked = [signal_row(row) for row in rows]
        capture(asked, teacher, tokenizer, settings, folder, silent)
        return plan

    return make


def _live(plan, teacher, **loss):
    live = replace(plan, out_dir=f"{plan.out_dir}-live", signals=None)
    live = replace(live, train={**live.train, **DENSE, "loss": {**LOSS, **loss}})
    return train(live, lambda: LocalModel.load(teacher.source), silent)


def _losses(result):
    return [point["loss"] for point in result.curve if "loss" in point]


def test_all_of_the_vocabulary_is_the_live_signal(cached, teacher):
    """With every token kept in full precision, each step's loss is that of the live teacher."""
    plan = cached(EVERYTHING)
    ours, live = train(plan, None, silent), _live(plan, teacher)
    assert _losses(ours) == pytest.approx(_losses(live), abs=1e-5)
    assert ours.val_loss == pytest.approx(live.val_loss, abs=1e-5)


def test_a_byte_per_value_stays_close_to_the_live_signal(cached, teacher):
    """Most of the mass in a byte per token: the loss differs by less than a hundredth."""
    plan = cached(CaptureSettings(k=256, codec="set"))
    ours, live = train(plan, None, silent), _live(plan, teacher)
    assert _losses(ours) == pytest.approx(_losses(live), rel=0.01)


def test_a_temperature_that_was_captured(cached, teacher):
    """Supports, tails and normalisers of another temperature give the live loss at it."""
    warm = {"loss": {**LOSS, "temperature": 2.0}}
    plan = cached(replace(EVERYTHING, temperatures=(2.0,)), **warm)
    ours, live = train(plan, None, silent), _live(plan, teacher, temperature=2.0)
    assert _losses(ours) == pytest.approx(_losses(live), abs=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_drawn_tokens_train(cached, method):
    """A few draws per position train a student, its adapter too, and the loss falls."""
    settings = CaptureSettings(kind="sampled", draws=40, codec="sampled")
    plan = cached(settings, name=method, signal={"kind": "sampled"}, steps=30, lr=1e-2)
    if method == "lora":
        student = {"model": plan.base, "method": "lora", "lora": {"r": 4, "alpha": 8}}
        plan = replace(plan, student=student)
    result = train(plan, None, silent)
    assert result.val_loss < next(p["val_loss"] for p in result.curve if "val_loss" in p) + 1e-9
    assert result.loss_last < result.loss_first


def test_the_same_from_micro_batches(cached):
    """Batch 1 x accumulation 8 gives the trajectory of 8 x 1."""
    plan = cached(CaptureSettings(k=16))
    whole = train(plan, None, silent)
    split = replace(plan, out_dir=f"{plan.out_dir}-1x8", train={**plan.train, "micro_batch": 1})
    assert _losses(train(split, None, silent)) == pytest.approx(_losses(whole), abs=1e-5)


@pytest.fixture
def batch(make_plan, teacher, tmp_path):
    """Four rows in one batch, and a cache in which each of them has another kind of signal."""
    plan = make_plan("mixed", count=5, **TOPK)
    tokenizer, rows = encoded_rows(plan)
    identity = local_identity(teacher, tokenizer, CaptureSettings(k=8, codec="raw"))
    asked = [signal_row(row) for row in rows]
    capture(asked[:2], teacher, tokenizer, identity.settings, tmp_path / "mixed-signals", silent)
    api = asked[2]
    gold = api.gold_N.tolist()
    told = [[(at, -0.1), (7, -3.0)] for at in gold[:-1]] + [[]]
    with CacheWriter(tmp_path / "mixed-signals", identity) as writer:
        writer.add(api, from_lists([-0.1] * (len(gold) - 1) + [float("nan")], told))
        writer.add(asked[3], TextOnly(len(asked[3].positions_N), "no log-probabilities"))
    rows = [*rows[:4], replace(rows[4], text_only=True)]
    cache = SignalCache(tmp_path / "mixed-signals")
    return CachedSignal(cache, rows), Collator(0)(rows), rows


def _targets(signal, inputs):
    labels = inputs["labels"][:, 1:]
    keep = labels != -100
    loss = Train.model_validate(TOPK).loss
    return signal.added(HeadTargets(labels[keep], loss, keep_BT=keep), inputs)


def test_rows_of_all_kinds_in_one_batch(batch):
    """Top-k rows, an API's few alternatives and text: each position counts as what it has."""
    signal, inputs, rows = batch
    found = _targets(signal, inputs)
    counts = [row.supervised for row in rows]
    parts = found.signal_N.split(counts)
    assert [part.tolist() for part in parts] == [
        [True] * counts[0], [True] * counts[1], [True] * (counts[2] - 1) + [False],
        [False] * counts[3], [False] * counts[4],
    ]  # fmt: skip
    assert len(found.teacher.ids_NK) == int(found.signal_N.sum())
    kept = found.teacher.keep_NK.sum(-1).tolist()
    assert kept == [8] * (counts[0] + counts[1]) + [2] * (counts[2] - 1)
    mass = found.teacher.logp_NK.exp().sum(-1) + found.teacher.log_tail_N.exp()
    assert torch.allclose(mass, torch.ones_like(mass), atol=1e-5)


def test_text_gets_the_weight_of_both_terms(batch, base):
    """The objective is w KD + ce CE where there is a signal and (w + ce) CE elsewhere."""
    from transformers import AutoModelForCausalLM

    from distill.train.fused_head import FusedHead, head_terms

    signal, inputs, _ = batch
    found = _targets(signal, inputs)
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        whole = model(inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    logits = whole[:, :-1]
    logp = logits[found.keep_BT].log_softmax(-1)
    ce = -logp.gather(-1, found.labels_N[:, None])[:, 0]
    teacher = found.teacher
    logq = logp[found.signal_N].gather(-1, teacher.ids_NK).where(teacher.keep_NK, -torch.inf)
    head = teacher.logp_NK.exp() * (teacher.logp_NK - logq).nan_to_num(0, 0, 0)
    rest = torch.log1p(-logq.exp().sum(-1))
    kd = head.sum(-1) + teacher.log_tail_N.exp() * (teacher.log_tail_N - rest)
    text = ~found.signal_N
    want = 0.9 * kd.sum() + 0.1 * ce.sum() + 0.9 * ce[text].sum()
    FusedHead.install(model)
    with torch.no_grad():
        got = head_terms(model, inputs, found)
    assert float(got.weighted) == pytest.approx(float(want), rel=1e-4)
    assert float(got.kd) == pytest.approx(float(kd.sum()), rel=1e-3, abs=1e-3)


def test_rows_are_decoded_once(batch, monkeypatch):
    """A second visit reads nothing; without memory for them rows are read each time."""
    signal, inputs, _ = batch
    asked = []
    read = SignalCache.read
    monkeypatch.setattr(SignalCache, "read", lambda self, row: asked.append(row) or read(self, row))
    for _ in range(2):
        _targets(signal, inputs)
    assert len(asked) == 4
    signal._left = 0
    signal._decoded.clear()
    _targets(signal, inputs)
    _targets(signal, inputs)
    assert len(asked) == 4 + 7  # the text row takes no memory


def test_a_missing_row_is_an_error(cached, make_plan):
    """A row whose signal was declared and not captured is named before anything is loaded."""
    plan = cached(CaptureSettings(k=16))
    more = make_plan("more", count=20, changes={"signals": plan.signals}, **TOPK)
    with pytest.raises(DataError, match="has no signal in the cache"):
        train(more, None, silent)


def test_a_scrambled_cache_is_refused(cached, tmp_path):
    """Signals of other rows contradict the tokens that they stand beside."""
    plan = cached(CaptureSettings(k=16, codec="raw"))
    cache = SignalCache(plan.signals)
    _, rows = encoded_rows(plan)
    asked = [signal_row(row) for row in rows]
    found = [cache.read(row) for row in asked]
    shutil.rmtree(plan.signals)
    order = np.random.default_rng(0)
    with CacheWriter(plan.signals, cache.identity) as writer:
        for row, signal in zip(asked, found, strict=True):
            assert isinstance(signal, TopK)
            ids = order.permutation(cache.identity.vocabulary)[signal.ids_E].astype(np.int32)
            writer.add(row, replace(signal, ids_E=ids))
    with pytest.raises(DataError, match="not those of the rows"):
        train(plan, None, silent)


def test_a_worse_than_uniform_teacher_is_refused(cached):
    """A cache whose teacher would have done better by guessing is not trained from."""
    plan = cached(CaptureSettings(kind="token", codec="raw"), signal={"kind": "token"})
    cache = SignalCache(plan.signals)
    _, rows = encoded_rows(plan)
    asked = [signal_row(row) for row in rows]
    found = [cache.read(row) for row in asked]
    shutil.rmtree(plan.signals)
    with CacheWriter(plan.signals, cache.identity) as writer:
        for row, signal in zip(asked, found, strict=True):
            writer.add(row, TokenLogp(signal.gold_logp_N - 30))
    with pytest.raises(RecipeError, match="worse than a guess"):
        train(plan, None, silent)


def test_another_tokenizers_cache_is_refused(cached, tmp_path):
    """By fingerprint: the size of a vocabulary proves nothing."""
    plan = cached(CaptureSettings(k=16))
    manifest = Path(plan.signals) / "manifest.json"
    data = json.loads(manifest.read_text())
    data["identity"]["tokenizer_fingerprint"] = "0" * 64
    manifest.write_text(json.dumps(data))
    with pytest.raises(RecipeError, match="another tokenizer"):
        train(plan, None, silent)
