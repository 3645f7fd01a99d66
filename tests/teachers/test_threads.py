"""Threads of tiny models."""

import torch

from teachers.threads import TINY, fit_threads


def test_a_tiny_model_gets_one_thread(monkeypatch):
    """One thread below the limit, every core above it, nothing where the user has chosen."""
    before = torch.get_num_threads()
    try:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        fit_threads(TINY - 1)
        assert torch.get_num_threads() == 1
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        fit_threads(TINY)
        assert torch.get_num_threads() == 1
        monkeypatch.delenv("OMP_NUM_THREADS")
        fit_threads(TINY)
        assert torch.get_num_threads() >= 1
    finally:
        torch.set_num_threads(before)
