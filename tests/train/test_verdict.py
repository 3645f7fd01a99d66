"""Judges learn the distribution of their verdict: the answers' tokens, their targets, the term."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from distill.capture.local import capture, local_identity
from distill.errors import DataError
from distill.losses.fused_loss import HeadTargets
from distill.losses.verdict import sequence_logp
from distill.progress import silent
from distill.recipe.training import VerdictLoss
from distill.signals.cache import SignalCache
from distill.signals.settings import CaptureSettings
from distill.train import stage
from distill.train.cached_signal import signal_row
from distill.train.collate import IGNORED
from distill.train.fused_head import AnswerTokens, FusedHead, head_answers
from distill.train.launch import WORKER, launcher_command
from distill.train.plan import finished
from distill.train.stage import train
from distill.train.verdict_rows import VerdictCollator, answer_tree, sequences_of
from distill.train.verdict_targets import cached_shares, teacher_shares, written_shares
from teachers.local_model import LocalModel

ROOT = Path(__file__).parents[2]
TEN = {"kind": "judge_absolute", "scale": {"min": 1, "max": 10}}
WORDS = ("rose", "cat", "sky", "grass", "is", "red", "the", "old", "blue", "very")
PAIR = {"kind": "judge_pairwise"}


def _record(at, scale=10, **more):
    """The grade follows from a word of the response; the votes are spread around it."""
    score = at % scale + 1
    near = score + 1 if score < scale else score - 1
    said = ("very old", "the cat is a cat", "red")[at % 3]
    messages = [
        {
            "role": "user",
            "content": f"{WORDS[at % 10]}?",
        },
        {"role": "assistant", "content": f"{said}\nVERDICT: {score}"},
    ]
    fields = {"feedback": said, "score": score, "judged_votes": {str(score): 3, str(near): 1}}
    return {"id": f"j-{at:03}", "messages": messages, "fields": fields | more}


@pytest.fixture
def judge_plan(make_plan, write_rows, tmp_path):
    """A plan over judge rows with the loss `verdict`."""

    def make(name="out", records=None, task=TEN, loss=None, val=(), soft=("judged",), **settings):
        path = write_rows(tmp_path / f"{name}.jsonl", records or [_record(at) for at in range(20)])
        changes = {
            "rows_path": path,
            "prompt": {"task": task, "template": "{{ response }}?"},
            "soft": soft,
            "output": task.get("output", "score"),
            "val_path": write_rows(tmp_path / f"{name}-val.jsonl", val) if val else None,
        }
        loss = {"kind": "verdict", "weight": 1.0, "ce": 0.5, **(loss or {})}
        return make_plan(name, changes=changes, loss=loss, **settings)

    return make


def _naive(model, row, answers, start):
    """Log-probability of each answer behind what the row says before it, one text at a time."""
    found = []
    for answer in answers:
        ids_1T = torch.cat([row.input_ids_T[:start], torch.tensor(answer)])[None]
        logp_TV = model(ids_1T).logits[0].log_softmax(-1)
        at = torch.arange(start - 1, ids_1T.shape[1] - 1)
        found.append(logp_TV[at, ids_1T[0, start:]].sum())
    return torch.stack(found)


def test_a_tree_reads_what_answers_share_once():
    """The row itself holds the first position; "10" and "1" part one token further on."""
    flat = answer_tree([[7, 8, 1, 0], [7, 8, 2, 0], [7, 8, 3, 0]], own=1, closed=True)
    assert (flat.start, flat.branches, len(flat.nodes)) == (2, (), 1)
    assert flat.answers == ((1,), (2,), (3,))
    deep = answer_tree([[7, 1, 0], [7, 1, 5, 0], [7, 2, 0]], own=2, closed=True)
    assert deep.answers == ((1, 0), (1, 5, 0), (2, 0))  # the closing token tells 1 from 15
    assert [node.line for node in deep.nodes] == [0, 0, 1, 2]
    own = answer_tree([[7, 1, 0], [7, 1, 5, 0]], own=1, closed=True)
    assert (own.start, own.answers, own.branches) == (2, ((0,), (5, 0)), ())
    assert answer_tree([[7, 1], [7, 1, 5]], own=0, closed=False) is None


@pytest.mark.parametrize("packing", [False, True])
def test_value_and_gradient_are_those_of_whole_texts(judge_plan, base, packing):
    """With one text per answer: log-probabilities, text term, every gradient (float32 norms)."""
    ready = stage._prepare(judge_plan())
    rows = ready.rows.rows[7:11]  # grades 8, 9, 10, 1
    assert any(row.tree.branches for row in rows)
    model = AutoModelForCausalLM.from_pretrained(base).double()
    want_RS = torch.stack([_naive(model, row, row.tree.answers, row.tree.start) for row in rows])
    weights_RS = torch.linspace(-1, 2, want_RS.numel()).reshape_as(want_RS).double()
    text = sum(
        torch.nn.functional.cross_entropy(
            model(row.input_ids_T[None]).logits[0, :-1], row.labels_T[1:], reduction="sum"
        )
        for row in rows
    )
    ((want_RS * weights_RS).sum() + 0.5 * text).backward()
    want = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    FusedHead.install(model)
    batch = VerdictCollator(0, packing=packing, width=64 if packing else None)(rows)
    keep_BT = batch["labels"][:, 1:] != IGNORED
    labels_N = batch["labels"][:, 1:][keep_BT]
    loss = VerdictLoss(kind="verdict")
    half_N = torch.full((len(labels_N),), 0.5)
    heads = HeadTargets(labels_N, loss, keep_BT=keep_BT, ce_N=half_N)
    asked = AnswerTokens(heads, batch["answer_at"], batch["answer_ids"])
    found, logp_MK = head_answers(model, batch, asked)
    logp_RS = sequence_logp(*sequences_of(logp_MK, batch["answer_paths"]))
    torch.testing.assert_close(logp_RS, want_RS, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.weighted, 0.5 * text, atol=1e-9, rtol=0)
    ((logp_RS * weights_RS).sum() + found.weighted).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, want[name], atol=1e-5, rtol=0)


def test_targets_are_votes_unless_they_speak_against_the_verdict(judge_plan):
    """Shares of the votes; the verdict alone without any, or where a person has changed it."""
    records = [_record(3), _record(3), _record(3)]
    del records[1]["fields"]["judged_votes"]
    records[2]["fields"]["judged_votes"] = {"9": 4}
    ready = stage._prepare(judge_plan(records=records))
    votes, alone, changed = (row.p_S for row in ready.rows.rows)
    assert votes[3:5] == pytest.approx((0.75, 0.25), abs=1e-6)
    assert alone == changed == tuple(float(at == 3) for at in range(10))
    assert ready.scale.scores == tuple(range(1, 11))


def _pair(winner, **fields):
    said = {"feedback": "old", "winner": winner, **fields}
    turns = [("user", "a?"), ("assistant", f"old\nVERDICT: {winner.upper()}")]
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"id": f"p-{winner}", "messages": messages, "fields": said}


def test_a_pair_is_told_by_both_orders(judge_plan):
    """a before tie before b; the mean of both readings, turned back."""
    shown = {"ranked_votes": {"A": 3, "TIE": 1}, "ranked_swapped_votes": {"B": 1, "TIE": 1}}
    records = [_pair("a", **shown), _pair("b", **shown), _pair("tie")]
    # What a judge without probabilities said once in each order: a and a tie, or a and b.
    said = ({"a": 1, "b": 0, "tie": 1}, {"a": 1, "b": 1, "tie": 0})
    records += [_pair("tie", winner_votes=votes) for votes in said]
    task = PAIR | {"output": "winner"}
    ready = stage._prepare(judge_plan(records=records, task=task, soft=("winner",)))
    assert ready.scale.labels == ("a", "tie", "b")
    assert ready.scale.scores == (0.0, 0.5, 1.0)
    first, second, third, half, turned = (row.p_S for row in ready.rows.rows)
    assert first == pytest.approx((0.625, 0.375, 0.0), abs=1e-6)
    assert (second, third) == ((0, 0, 1), (0, 1, 0))
    assert half == pytest.approx((0.5, 0.5, 0.0), abs=1e-6)
    assert turned == (0, 1, 0)


def test_a_verdict_that_cannot_be_scored_is_told(judge_plan):
    """Off the scale, or not the last words; one that was cut off leaves a row of text."""
    wrong = _record(0)
    wrong["fields"]["score"] = 11
    with pytest.raises(DataError, match="not on the scale"):
        stage._prepare(judge_plan(records=[wrong]))
    late = _record(0)
    late["messages"][1]["content"] += ", all in all"
    with pytest.raises(DataError, match="does not end with its score"):
        stage._prepare(judge_plan(records=[late]))
    rows = stage._prepare(judge_plan(max_length=18)).rows.rows
    assert written_shares(rows).keys() < {row.key for row in rows}
    with pytest.raises(DataError, match="all are cut off"):
        train(judge_plan("cut", records=[_record(1), _record(4)], max_length=12), None, silent)


@pytest.mark.parametrize("form", ["kl", "cdf", "expected"])
def test_the_term_falls_and_figures_add_up(judge_plan, form):
    """Every form; val is measured; the loss is the text per token and the term per verdict."""
    val = [_record(at) for at in range(20, 25)]
    plan = judge_plan(loss={"form": form}, val=val, steps=40, lr=2e-2, max_length=64)
    result = train(plan, None, silent)
    points = [point for point in result.curve if "kd_loss" in point]
    first, last = points[0], points[-1]
    assert first["loss"] == pytest.approx(first["kd_loss"] + 0.5 * first["ce_loss"], rel=1e-4)
    assert last["kd_loss"] < 0.5 * first["kd_loss"]
    assert last["left_over"] < first["left_over"]
    assert last["score_error"] < first["score_error"]
    assert result.verdicts["n"] == 5
    assert result.verdicts["left_over"] == result.curve[-1]["val_left_over"]


def _curves(result):
    """Losses of three steps and of val; one row's verdict is cut off and learnt from its text."""
    return [[p[key] for p in result.curve if key in p] for key in ("loss", "val_loss", "kd_loss")]


def _short(judge_plan, name, **settings):
    val = [_record(at) for at in range(5)]
    return judge_plan(name, val=val, steps=3, lr=1e-3, max_length=24, **settings)


def _same(found, want, within):
    for ours, theirs in zip(_curves(found), _curves(want), strict=True):
        assert ours == pytest.approx(theirs, abs=within)


def test_micro_batches_and_packing_change_nothing(judge_plan):
    """Eight rows at once, two by two, and packed: the same losses."""
    want = train(_short(judge_plan, "whole", micro_batch=8), None, silent)
    _same(train(_short(judge_plan, "split", micro_batch=2), None, silent), want, 2e-4)
    packed = _short(judge_plan, "packed", micro_batch=4, packing=True)
    _same(train(packed, None, silent), want, 2e-4)


@pytest.mark.parametrize(
    ("deepspeed", "processes"),
    [
        ("zero3", 1),
        *(pytest.param(one, 2, marks=pytest.mark.slow) for one in (None, "zero2", "zero3")),
    ],
)
def test_sharding_changes_nothing(judge_plan, tmp_path, deepspeed, processes):
    """Verdicts are counted over all ranks, also where one has fewer."""
    want = train(_short(judge_plan, "alone", micro_batch=8), None, silent)
    plan = _short(judge_plan, "launched", micro_batch=2, deepspeed=deepspeed)
    path = tmp_path / "launched.json"
    plan.write(path)
    command = launcher_command(path, processes)
    worker = str(Path(__file__).with_name("zero_worker.py"))
    command = [*command[: command.index(WORKER) - 1], worker, str(path), "none"]
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=env, timeout=300, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    _same(finished(plan), want, 3e-4)


def test_a_teacher_tells_its_own_distribution(judge_plan, tmp_path):
    """Live: every answer as a whole text. From a cache: the first tokens, renormalised."""
    five = TEN | {"scale": {"min": 1, "max": 5}}
    records = [_record(at, 5) for at in range(6)]
    knows = judge_plan("knows", records=records, task=five, steps=25, lr=1e-2)
    teacher = LocalModel.load(train(knows, None, silent).model_dir)
    plan = judge_plan(records=records, task=five, signal={"kind": "dense"})
    ready = stage._prepare(plan)
    rows = ready.rows.rows
    width = len(ready.tokenizer)
    found = teacher_shares(teacher, width, rows, VerdictCollator(0), torch.device("cpu"))
    for row in rows:
        ids_1T = row.input_ids_T[None]
        logits_V = teacher.model(ids_1T).logits[0, row.tree.start - 1, :width]
        first = [answer[0] for answer in row.tree.answers]
        assert found[row.key] == pytest.approx(logits_V[first].softmax(-1).tolist(), abs=1e-5)
    settings = CaptureSettings(k=1000, codec="raw")
    identity = local_identity(teacher, ready.tokenizer, settings)
    capture(
        [signal_row(row) for row in rows],
        teacher,
        ready.tokenizer,
        settings,
        tmp_path / "c",
        silent,
    )
    assert identity.vocabulary == width
    cached = cached_shares(SignalCache(tmp_path / "c"), rows)
    for row in rows:
        assert cached[row.key] == pytest.approx(found[row.key], abs=1e-4)
    ten = stage._prepare(judge_plan("ten", signal={"kind": "dense"})).rows.rows
    capture(
        [signal_row(row) for row in ten], teacher, ready.tokenizer, settings, tmp_path / "d", silent
    )
    with pytest.raises(DataError, match="begin with the same token"):
        cached_shares(SignalCache(tmp_path / "d"), ten)
    result = train(plan, lambda: teacher, silent)
    assert "kd_loss" in result.curve[0]


def test_labels_are_answers_too(judge_plan):
    """A classify task whose rows hold votes: the label is all that the student writes."""
    labels = ["red", "green", "very old"]
    task = {"kind": "classify", "labels": labels}
    records = []
    for at in range(12):
        label = labels[at % 3]
        turns = [("user", f"{('rose', 'grass', 'cat')[at % 3]}?"), ("assistant", label)]
        messages = [{"role": role, "content": content} for role, content in turns]
        fields = {"label": label, "label_votes": {label: 2, labels[(at + 1) % 3]: 1}}
        records.append({"id": f"c-{at}", "messages": messages, "fields": fields})
    plan = judge_plan(
        records=records, task=task | {"output": "label"}, soft=("label",), steps=30, lr=2e-2
    )
    curve = train(plan, None, silent).curve
    assert curve[-1]["kd_loss"] < 0.5 * curve[0]["kd_loss"]
