"""Capture from a teacher in this process."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from distill.capture.local import capture, local_identity, score
from distill.capture.weights import weights_fingerprint
from distill.errors import DataError, RecipeError
from distill.progress import silent
from distill.signals.cache import SignalCache
from distill.signals.consistency import check_cache
from distill.signals.settings import CaptureSettings
from distill.signals.types import Sampled, SignalRow, TokenLogp

SETTINGS = CaptureSettings(k=16)


def _logp(teacher, row, width):
    """The whole model's own log-probabilities of what follows, float64: (N, V)."""
    ids = torch.from_numpy(row.ids_T.astype(np.int64))[None]
    with torch.no_grad():
        logits = teacher.model(ids).logits[0, row.positions_N - 1, :width]
    return logits.double().log_softmax(-1)


def test_signals_are_the_models_own(tmp_path, teacher, tokenizer, make_rows):
    """Every row's support, tail and written token are those of the model, padding left out."""
    rows = make_rows(25)
    told = []
    found = capture(rows, teacher, tokenizer, replace(SETTINGS, codec="raw"), tmp_path, told.append)
    cache = SignalCache(tmp_path)
    assert found.rows == cache.rows == 25
    assert (found.stored, told[-1].done, told[-1].total) == (0, 25, 25)
    assert found.loss < 2 < found.uniform
    width = len(tokenizer)
    assert cache.identity.vocabulary == width
    for row in rows:
        signal, logp_NV = cache.read(row), _logp(teacher, row, width)
        gold = torch.from_numpy(row.gold_N.astype(np.int64))[:, None]
        assert np.allclose(signal.gold_logp_N, logp_NV.gather(1, gold)[:, 0], atol=1e-4)
        owner = np.repeat(np.arange(signal.positions), signal.counts_N)
        assert np.allclose(signal.logp_E, logp_NV[owner, signal.ids_E], atol=1e-4)
        rest = logp_NV.exp().sum(-1) - torch.zeros(signal.positions).double().index_add_(
            0, torch.from_numpy(owner), logp_NV[owner, signal.ids_E].exp()
        )
        assert np.allclose(np.exp(signal.log_tail_N), rest, atol=1e-5)
    assert check_cache(cache, rows).loss == pytest.approx(found.loss, abs=0.01)


@pytest.mark.parametrize("kind", ["topk", "sampled"])
def test_order_and_stops_do_not_matter(tmp_path, teacher, tokenizer, make_rows, kind):
    """Shuffled rows, captured in two sittings with another memory budget, give the same signals."""
    rows = make_rows(20)
    settings = CaptureSettings(kind=kind, k=8, codec="raw")
    capture(rows, teacher, tokenizer, settings, tmp_path / "a", silent)
    shuffled = [rows[at] for at in np.random.default_rng(1).permutation(20)]
    small = {"budget_bytes": 30_000}
    capture(shuffled[:7], teacher, tokenizer, settings, tmp_path / "b", silent, **small)
    found = capture(shuffled, teacher, tokenizer, settings, tmp_path / "b", silent, **small)
    assert (found.rows, found.stored) == (20, 7)
    ours, theirs = SignalCache(tmp_path / "a"), SignalCache(tmp_path / "b")
    for row in rows:
        one, other = ours.read(row), theirs.read(row)
        assert one.ids_E.tolist() == other.ids_E.tolist()
        if kind == "sampled":
            assert isinstance(one, Sampled)
            assert one.counts_E.tolist() == other.counts_E.tolist()
        else:
            assert np.allclose(one.logp_E, other.logp_E, atol=1e-5)


def test_only_written_tokens(tmp_path, teacher, tokenizer, make_rows):
    """The token signal of a local teacher."""
    rows = make_rows(3)
    settings = CaptureSettings(kind="token", codec="raw")
    capture(rows, teacher, tokenizer, settings, tmp_path, silent)
    signal = SignalCache(tmp_path).read(rows[0])
    assert isinstance(signal, TokenLogp)
    assert len(signal.gold_logp_N) == len(rows[0].positions_N)


def test_no_large_tensor(teacher, tokenizer, make_rows):
    """No tensor of the vocabulary's width has more rows than the budget allows."""
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for one in out if isinstance(out, tuple | list) else [out]:
                wide = isinstance(one, torch.Tensor) and one.dim() == 2
                # 64 is the hidden size: the head's own weights, seen from the other side.
                if wide and one.shape[1] in (272, len(tokenizer)) and one.shape[0] != 64:
                    largest = max(largest, one.shape[0])
            return out

    rows = make_rows(20)
    identity = local_identity(teacher, tokenizer, replace(SETTINGS, temperatures=(2.0,)))
    with Watch():
        score(teacher, identity, rows, budget_bytes=272 * 4 * 5 * 3)
    assert largest == 3


def test_another_vocabulary_is_refused(tmp_path, make_teacher, tokenizer, make_rows):
    """A tokenizer of equal size with other pieces is refused, before a row is read."""
    from transformers import PreTrainedTokenizerFast

    state = tokenizer.backend_tokenizer.to_str()
    swapped = state.replace('"a":', '"@@":').replace('"b":', '"a":').replace('"@@":', '"b":')
    other = PreTrainedTokenizerFast(
        tokenizer_object=type(tokenizer.backend_tokenizer).from_str(swapped),
        unk_token="<unk>",
        eos_token="</s>",
    )
    assert len(other) == len(tokenizer)
    with pytest.raises(RecipeError, match="do not share a vocabulary"):
        capture(make_rows(2), make_teacher(other=other), tokenizer, SETTINGS, tmp_path, silent)
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("step", [0, 2])
def test_a_teacher_worse_than_a_guess_is_refused(
    tmp_path, make_teacher, tokenizer, make_rows, step
):
    """A teacher one token off, in any direction, is refused after a few rows; nothing is kept."""
    wrong = make_teacher(step=step)
    with pytest.raises(RecipeError, match="worse than a guess"):
        capture(make_rows(20), wrong, tokenizer, SETTINGS, tmp_path, silent)
    assert SignalCache(tmp_path).rows == 0
    capture(make_rows(2), wrong, tokenizer, SETTINGS, tmp_path, silent, refuse_guessing=False)


def test_rows_that_cannot_be_read(tmp_path, teacher, tokenizer, make_rows):
    """A row beyond the context is named; one without supervised tokens needs no signal."""
    silent_row = SignalRow.of("empty", [1, 2, 3], [True, False, False])
    found = capture([silent_row], teacher, tokenizer, SETTINGS, tmp_path, silent)
    assert (found.rows, found.loss) == (0, None)
    SignalCache(tmp_path).need_all([silent_row])
    long = SignalRow.of("long-one", [at % 250 for at in range(97)], [True] * 97)
    with pytest.raises(DataError, match="long-one"):
        capture([*make_rows(2), long], teacher, tokenizer, SETTINGS, tmp_path, silent)


def test_a_fingerprint_is_the_weights(make_teacher, teacher):
    """Equal weights are equal wherever they come from; one changed number is seen."""
    ours, theirs = teacher, make_teacher()
    prints = [weights_fingerprint(one.model, name) for one, name in ((ours, "a"), (theirs, "b"))]
    assert prints[0] == prints[1]
    with torch.no_grad():
        theirs.model.lm_head.weight[200, 40] += 1e-4
    assert weights_fingerprint(theirs.model, "b") != prints[0]
    assert weights_fingerprint(make_teacher().model.bfloat16(), "a") != prints[0]
