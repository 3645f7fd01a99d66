"""Random supports, draws and rows; a cache's identity."""

import os

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

VOCABULARY = 361


@pytest.fixture(scope="session")
def top_k():
    """Makes the top-k signal of random logits, exact in every field."""
    from distill.signals.select import select_top_k

    def make(seed=0, positions=5, vocabulary=VOCABULARY, k=16, spread=3.0, **options):
        logits_NV, gold_N = _logits(seed, positions, vocabulary, spread)
        return select_top_k(logits_NV, gold_N, k=k, **options)

    return make


@pytest.fixture(scope="session")
def sampled():
    """Makes draws from random logits."""
    from distill.signals.select import select_sampled

    def make(seed=0, positions=5, vocabulary=VOCABULARY, draws=50, spread=3.0):
        logits_NV, gold_N = _logits(seed, positions, vocabulary, spread)
        numbers = np.random.default_rng(seed).random((positions, draws))
        return select_sampled(logits_NV, gold_N, numbers)

    return make


@pytest.fixture(scope="session")
def logits():
    """Makes random logits (N, V) and written tokens (N)."""
    return _logits


@pytest.fixture
def identity():
    """Makes whose signals a cache holds."""
    from distill.signals.identity import Identity
    from distill.signals.settings import CaptureSettings

    def make(teacher="weights-1", tokenizer="pieces-1", **settings):
        return Identity("teacher", teacher, tokenizer, VOCABULARY, CaptureSettings(**settings))

    return make


@pytest.fixture
def make_rows():
    """Makes rows of a few tokens, the last ones supervised."""
    from distill.signals.types import SignalRow

    def make(count, seed=0):
        rng = np.random.default_rng(seed)
        rows = []
        for at in range(count):
            length = 4 + at % 5
            ids = rng.integers(0, VOCABULARY, length).tolist()
            rows.append(SignalRow.of(f"row-{at}", ids, [place >= 2 for place in range(length)]))
        return rows

    return make


@pytest.fixture
def signal_of(top_k):
    """Makes the signal of a row: random, but the same each time."""
    import torch

    from distill.signals.select import select_top_k

    def make(row, k=16):
        logits_NV, _ = _logits(int(row.ids_T.sum()), len(row.positions_N), VOCABULARY, 3.0)
        return select_top_k(logits_NV, torch.from_numpy(row.gold_N.astype(np.int64)), k=k)

    return make


def _logits(seed, positions, vocabulary, spread):
    import torch

    torch.set_num_threads(1)
    stream = torch.Generator().manual_seed(seed)
    logits_NV = torch.randn(positions, vocabulary, generator=stream) * spread
    return logits_NV, torch.randint(0, vocabulary, (positions,), generator=stream)


@pytest.fixture
def root():
    """The checkout."""
    from pathlib import Path

    return Path(__file__).resolve().parents[2]
