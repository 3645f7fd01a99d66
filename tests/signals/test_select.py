"""What is kept of a teacher's logits."""

import math

import numpy as np
import pytest
import torch

from distill.signals.padded import padded_sampled, padded_top_k
from distill.signals.select import select, select_sampled, select_top_k
from distill.signals.settings import CaptureSettings
from distill.signals.types import TokenLogp


def test_top_k_is_the_softmax(logits):
    """Values, tails and normalisers are those of the float64 softmax, at every temperature."""
    logits_NV, gold_N = logits(1, 7, 361, 4.0)
    signal = select_top_k(logits_NV, gold_N, k=16, temperatures=(2.0, 0.5))
    exact = logits_NV.double().log_softmax(-1)
    for at in range(7):
        part = slice(signal.starts_M[at], signal.starts_M[at + 1])
        ids = signal.ids_E[part].tolist()
        assert ids == sorted(exact[at].topk(16).indices.tolist())
        rest = [one for one in range(361) if one not in ids]
        for temperature in (1.0, 2.0, 0.5):
            p_V = (exact[at] / temperature).softmax(-1)
            logp_E, log_tail_N = signal.at(temperature)
            assert np.allclose(np.exp(logp_E[part]), p_V[ids], atol=1e-5)
            assert math.exp(log_tail_N[at]) == pytest.approx(float(p_V[rest].sum()), rel=1e-3)
    assert np.allclose(signal.gold_logp_N, exact.gather(1, gold_N[:, None])[:, 0], atol=1e-4)


def test_a_tiny_tail_is_not_lost():
    """A tail of 1e-12 is summed from what is left out, not as one minus the rest."""
    logits_NV = torch.zeros(1, 100)
    logits_NV[0, 7] = 32.0
    signal = select_top_k(logits_NV, torch.tensor([7]), k=1)
    assert signal.log_tail_N[0] == pytest.approx(math.log(99) - 32, abs=1e-3)


def test_top_p_decides_how_many(logits):
    """Just enough tokens to hold the mass, between floor and cap."""
    logits_NV, gold_N = logits(2, 200, 361, 4.0)
    signal = select_top_k(logits_NV, gold_N, k=30, top_p=0.9, min_k=3)
    counts_N = signal.counts_N
    assert counts_N.min() == 3
    assert counts_N.max() <= 30
    mass_N = 1 - np.exp(signal.log_tail_N)
    assert (mass_N[counts_N < 30] >= 0.9 - 1e-5).all()
    ranked = logits_NV.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    inside = counts_N[(counts_N > 3) & (counts_N < 30)]
    needed = ((ranked < 0.9).sum(-1) + 1).numpy()[(counts_N > 3) & (counts_N < 30)]
    assert inside.tolist() == needed.tolist()


def test_impossible_tokens_stay_out():
    """A token of probability 0 enters no support; a whole vocabulary leaves no tail."""
    logits_NV = torch.tensor([[1.0, -math.inf, 2.0, 0.0]])
    signal = select_top_k(logits_NV, torch.tensor([1]), k=10)
    assert signal.ids_E.tolist() == [0, 2, 3]
    assert signal.log_tail_N[0] == -math.inf
    assert signal.gold_logp_N[0] == -math.inf


def test_half_precision_is_summed_in_float32(logits):
    """bf16 logits give the figures of the same numbers in float32."""
    logits_NV, gold_N = logits(3, 5, 5000, 2.0)
    half = logits_NV.bfloat16()
    ours, theirs = (select_top_k(one, gold_N, k=8) for one in (half, half.float()))
    assert np.array_equal(ours.log_tail_N, theirs.log_tail_N)


def test_draws_are_unbiased():
    """The mean of counts / draws over many draws is the softmax; equal numbers, equal draws."""
    logits_NV = torch.tensor([[2.0, 0.0, 1.0, -1.0, -math.inf]]).repeat(400, 1)
    gold_N = torch.zeros(400, dtype=torch.long)
    numbers = np.random.default_rng(0).random((400, 50))
    signal = select_sampled(logits_NV, gold_N, numbers)
    again = select_sampled(logits_NV, gold_N, numbers)
    assert signal.counts_E.tolist() == again.counts_E.tolist()
    assert signal.counts_E.sum() == 400 * 50
    share = np.bincount(signal.ids_E, signal.counts_E, 5) / (400 * 50)
    assert np.allclose(share, logits_NV[0].softmax(-1), atol=0.012)
    assert share[4] == 0


def test_only_written_tokens(logits):
    """The token signal is the log-probability of each written token."""
    logits_NV, gold_N = logits(4, 5, 50, 2.0)
    signal = select(logits_NV, gold_N, CaptureSettings(kind="token"))
    assert isinstance(signal, TokenLogp)
    assert np.allclose(
        signal.gold_logp_N, logits_NV.log_softmax(-1).gather(1, gold_N[:, None])[:, 0], atol=1e-5
    )


def test_rows_become_rectangles(top_k, sampled):
    """Rows with supports of different widths become tensors with a mask, in order."""
    rows = [top_k(1, positions=3, k=8, top_p=0.5, temperatures=(2.0,)), top_k(2, positions=2, k=4)]
    with pytest.raises(ValueError, match="dimension"):
        padded_top_k(rows)  # rows of two captures
    rows = [top_k(seed, positions=3, k=8, top_p=0.5, temperatures=(2.0,)) for seed in (1, 2)]
    batch = padded_top_k(rows)
    counts = np.concatenate([row.counts_N for row in rows])
    assert batch.keep_NK.sum(-1).tolist() == counts.tolist()
    assert (
        batch.logp_NK[batch.keep_NK].tolist()
        == np.concatenate([row.logp_E for row in rows]).tolist()
    )
    total_N = batch.logp_NK.exp().sum(-1) + batch.log_tail_N.exp()
    assert torch.allclose(total_N, torch.ones(6), atol=1e-5)
    assert batch.log_normalisers[2.0].shape == (6,)
    draws = padded_sampled([sampled(1), sampled(2)])
    assert draws.counts_NK.sum(-1).tolist() == [50] * 10
