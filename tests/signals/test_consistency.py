"""Whether signals are those of their rows."""

import numpy as np
import pytest
import torch

from distill.errors import DataError, RecipeError
from distill.signals.cache import CacheWriter, SignalCache
from distill.signals.consistency import check_cache, disagreement, gold_loss
from distill.signals.select import select_sampled, select_top_k
from distill.signals.types import SignalRow


def _row(seed, length=12):
    ids = np.random.default_rng(seed).integers(0, 361, length).tolist()
    return SignalRow.of(f"row-{seed}", ids, [True] * length)


def _knowing(row, shift=0):
    """A teacher that expects the tokens of the row, here or one place off."""
    expected = torch.from_numpy(np.roll(row.gold_N, shift).astype(np.int64))
    logits_NV = torch.randn(len(expected), 361, generator=torch.Generator().manual_seed(0))
    return logits_NV.scatter(1, expected[:, None], 8.0)


def _gold(row):
    return torch.from_numpy(row.gold_N.astype(np.int64))


@pytest.mark.parametrize("kind", ["top_k", "sampled"])
def test_signals_of_other_rows_are_found(kind):
    """A signal agrees with its own row, and with hardly any token of another one."""

    def make(row):
        if kind == "top_k":
            return select_top_k(_knowing(row), _gold(row), k=16)
        numbers = np.random.default_rng(0).random((len(row.positions_N), 50))
        return select_sampled(_knowing(row), _gold(row), numbers)

    rows = [_row(1), _row(2)]
    assert disagreement(rows[0], make(rows[0])) == 0
    assert disagreement(rows[1], make(rows[0])) > 0.9


def _cache(folder, identity, rows, signal_of):
    with CacheWriter(folder, identity) as writer:
        for row in rows:
            writer.add(row, signal_of(row))
    return SignalCache(folder)


def test_a_good_cache_is_trained_from(tmp_path, identity):
    """The check returns the teacher's loss on the rows' tokens."""
    rows = [_row(seed) for seed in range(6)]
    cache = _cache(tmp_path, identity(), rows, lambda r: select_top_k(_knowing(r), _gold(r), k=16))
    loss = check_cache(cache, rows)
    assert loss.loss < 0.3 < loss.uniform
    with pytest.raises(DataError, match="row-99"):
        check_cache(cache, [*rows, _row(99)])


def test_scrambled_signals_are_refused(tmp_path, identity):
    """Whole records under the keys of other rows pass every checksum, and are still refused."""
    rows = [_row(seed) for seed in range(6)]
    scrambled = {row.id: rows[at - 1] for at, row in enumerate(rows)}

    def other(row):
        return select_top_k(_knowing(scrambled[row.id]), _gold(scrambled[row.id]), k=16)

    cache = _cache(tmp_path, identity(), rows, other)
    with pytest.raises(DataError, match="not those of the rows"):
        check_cache(cache, rows)


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_shifted_teacher_is_refused(tmp_path, identity, shift):
    """A teacher read one place off, in any direction, is worse than a guess."""
    rows = [_row(seed) for seed in range(6)]
    cache = _cache(
        tmp_path, identity(), rows, lambda r: select_top_k(_knowing(r, shift), _gold(r), k=16)
    )
    with pytest.raises(RecipeError, match="worse than a guess"):
        check_cache(cache, rows)


def test_untold_tokens_do_not_count(top_k):
    """A figure of NaN is no figure."""
    signal = top_k(positions=4)
    signal.gold_logp_N[:] = [-1, np.nan, -3, np.nan]
    found = gold_loss([signal], 361)
    assert (found.positions, found.loss) == (2, 2.0)
