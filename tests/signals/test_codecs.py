"""Signals to bytes and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.signals.codecs import CODECS, decode, encode
from distill.signals.codecs.bits import packed, unpacked
from distill.signals.log_mass import segment_logsumexp
from distill.signals.ragged import cut, joined, split
from distill.signals.types import Sampled, TextOnly, TokenLogp, TopK

VOCABULARIES = [361, 2**17 - 1, 2**17, 2**17 + 1, 151_936, 262_144]
sizes = st.integers(0, 40)


def _masses_are_1(signal, tolerance):
    for temperature in (1.0, *signal.temperatures):
        logp_E, log_tail_N = signal.at(temperature)
        head_N = np.exp(segment_logsumexp(logp_E.astype(np.float64), signal.starts_M))
        assert np.allclose(head_N + np.exp(log_tail_N.astype(np.float64)), 1, atol=tolerance)


def _random(draw, vocabulary):
    """A support of any size at each position, edges of the vocabulary included, any tail."""
    counts = draw(st.lists(sizes, min_size=1, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.0, 0.1, 3.0, 40.0, 3000.0]))
    ids, logp, tails = [], [], []
    for count in counts:
        ends = [0, vocabulary - 1][: min(count, 2)]
        rest = rng.choice(vocabulary - 2, max(count - 2, 0), replace=False) + 1
        values = rng.standard_normal(count) * spread
        tail = rng.choice([1e-9, 1e-3, 0.3, 0.999999]) if count else 1.0
        total = np.logaddexp.reduce(values) if count else 0.0
        ids += sorted([*ends, *rest.tolist()])
        logp += (values - total + np.log1p(-tail)).tolist() if count else []
        tails.append(np.log(tail))
    starts_M = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    gold = rng.standard_normal(len(counts)).astype(np.float32) - 5
    return TopK(
        gold, starts_M, np.array(ids, np.int32), np.array(logp, np.float32),
        np.array(tails, np.float32),
    )  # fmt: skip


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_supports_come_back(vocabulary, data):
    """Ids are exact in every codec; raw loses nothing, a byte per value little."""
    signal = data.draw(st.composite(_random)(vocabulary))
    for name in ("raw", "packed", "set"):
        back = decode(encode(signal, name, vocabulary))
        assert back.ids_E.tolist() == signal.ids_E.tolist()
        assert back.starts_M.tolist() == signal.starts_M.tolist()
        if name == "raw":
            assert np.array_equal(back.logp_E, signal.logp_E)
            assert np.array_equal(back.gold_logp_N, signal.gold_logp_N)
            continue
        _masses_are_1(back, 2e-3)
        assert np.allclose(back.gold_logp_N, signal.gold_logp_N, rtol=1e-3)
        assert np.allclose(back.log_tail_N, signal.log_tail_N, rtol=1e-3, atol=1e-7)
        counts_N = signal.counts_N
        top_N = segment_logsumexp(signal.logp_E, signal.starts_M)
        far_E = np.repeat(top_N, counts_N) - signal.logp_E
        used = counts_N > 0
        if used.any():
            range_N = np.zeros(len(counts_N))
            range_N[used] = np.maximum.reduceat(far_E, signal.starts_M[:-1][used])
            step_E = np.repeat(range_N, counts_N) / 255 + 0.02
            near_E = far_E < 20
            assert (np.abs(back.logp_E - signal.logp_E) <= 2 * step_E)[near_E].all()


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_draws_come_back(sampled, vocabulary, seed):
    """Drawn ids and counts are exact in both codecs that hold them."""
    signal = sampled(seed, vocabulary=vocabulary, positions=3, draws=300)
    for name in ("raw", "sampled"):
        back = decode(encode(signal, name, vocabulary))
        assert isinstance(back, Sampled)
        assert back.draws == 300
        assert back.ids_E.tolist() == signal.ids_E.tolist()
        assert back.counts_E.tolist() == signal.counts_E.tolist()
        assert np.allclose(back.gold_logp_N, signal.gold_logp_N, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 25), st.integers(0, 2**25 - 1)), max_size=60))
def test_bits_come_back(pairs):
    """Whole numbers of any width up to 25 bits, next to each other."""
    widths = np.array([width for width, _ in pairs], np.int64)
    values = np.array([value & ((1 << width) - 1) for width, value in pairs], np.int64)
    data = np.frombuffer(packed(values, widths), np.uint8)
    offsets = np.cumsum(widths) - widths
    assert unpacked(data, offsets, widths).tolist() == values.tolist()


def test_temperatures_come_back(top_k):
    """Head and tail sum to 1 at every declared temperature, and are those of the logits."""
    signal = top_k(positions=40, k=16, temperatures=(2.0, 0.5))
    _masses_are_1(signal, 1e-5)
    for name in ("raw", "packed", "set"):
        back = decode(encode(signal, name, 361))
        assert back.temperatures == (2.0, 0.5)
        _masses_are_1(back, 1e-3)
        for temperature in (1.0, 2.0, 0.5):
            was, is_now = signal.at(temperature), back.at(temperature)
            assert np.abs(np.exp(was[0]) - np.exp(is_now[0])).max() < 0.01
            assert np.abs(np.exp(was[1]) - np.exp(is_now[1])).max() < 0.001
    with pytest.raises(ValueError, match=r"3\.0"):
        signal.at(3.0)


def test_a_byte_per_value_costs_little(top_k):
    """KL of a support from its packed form is under a ten-thousandth of a nat."""
    signal = top_k(positions=60, vocabulary=5000, k=64)
    for name in ("packed", "set"):
        back = decode(encode(signal, name, 5000))
        p_E = np.exp(signal.logp_E)
        gap = (p_E * (signal.logp_E - back.logp_E)).sum() / 60
        tail = (np.exp(signal.log_tail_N) * (signal.log_tail_N - back.log_tail_N)).mean()
        assert abs(gap + tail) < 1e-4


def test_sizes_are_those_of_the_arithmetic(top_k):
    """At 151,936 ids packed takes 26 bits an entry; set is within 6 % of the set's entropy."""
    signal = top_k(positions=64, vocabulary=151_936, k=64)
    sizes = {name: len(encode(signal, name, 151_936)) / 64 for name in ("raw", "packed", "set")}
    assert sizes["packed"] == pytest.approx(144 + 64 + 7, abs=0.5)
    assert sizes["set"] < 101 * 1.06 + 64 + 7.5
    assert sizes["set"] < sizes["packed"] < sizes["raw"]


def test_other_kinds_come_back():
    """Written tokens alone, and rows that are text only."""
    token = TokenLogp(np.array([-0.5, np.nan, -12.25], np.float32))
    for name in CODECS:
        assert np.array_equal(
            decode(encode(token, name, 361)).gold_logp_N, token.gold_logp_N, equal_nan=True
        )
        assert decode(encode(TextOnly(3, "why — not"), name, 361)).reason == "why — not"


def test_what_does_not_fit_is_refused(top_k, sampled):
    """A codec holds its kinds only; vocabularies have a limit; garbage is no record."""
    with pytest.raises(ValueError, match="does not hold 'topk'"):
        encode(top_k(), "sampled", 361)
    with pytest.raises(ValueError, match="does not hold 'sampled'"):
        encode(sampled(), "set", 361)
    with pytest.raises(ValueError, match="vocabulary"):
        encode(top_k(), "set", 2**24 + 1)
    record = encode(top_k(), "set", 361)
    with pytest.raises(ValueError, match="shorter"):
        decode(record[:-3])
    with pytest.raises(ValueError, match="version 9"):
        decode(b"\x09" + record[1:])


def test_codec_numbers_are_never_reused():
    """The numbers in files that exist already keep their meaning."""
    assert {name: codec.number for name, codec in CODECS.items()} == {
        "raw": 1, "packed": 2, "set": 3, "sampled": 4,
    }  # fmt: skip


@pytest.mark.parametrize("make", ["top_k", "sampled"])
def test_cut_and_joined_are_inverse(request, make):
    """A signal cut into rows and joined again is itself."""
    signal = request.getfixturevalue(make)(positions=9)
    parts = split(signal, [4, 1, 4])
    assert [part.positions for part in parts] == [4, 1, 4]
    whole = joined(parts)
    assert whole.ids_E.tolist() == signal.ids_E.tolist()
    assert whole.starts_M.tolist() == signal.starts_M.tolist()
    assert cut(TextOnly(9, "x"), 2, 5).positions == 3
