"""What a cache cost in fidelity: how much mass it covers, how far it is from the teacher itself."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.capture.local import local_identity, score
from distill.capture.reading import BUDGET_BYTES, batches, read_chunks
from distill.signals.cache import SignalCache
from distill.signals.consistency import disagreement, gold_loss
from distill.signals.identity import Identity
from distill.signals.ragged import joined
from distill.signals.select import positions_per_chunk
from distill.signals.settings import CaptureSettings
from distill.signals.types import Sampled, Signal, SignalRow, TextOnly, TokenLogp, TopK
from teachers.local_model import LocalModel

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
LOOKED_AT = 2000
"""Records that the figures of the cache alone are taken from."""
OWN_TOKENS = 64


def audit(
    cache: SignalCache | Path | str,
    rows: Sequence[SignalRow] = (),
    teacher: LocalModel | None = None,
    *,
    sample_rows: int = 16,
    seed: int = 0,
    budget_bytes: int = BUDGET_BYTES,
) -> dict[str, Any]:
    """The figures as plain data; those that need rows or the teacher are null without.

    Raises: DataError when a byte has changed or a row is missing, RecipeError when the teacher is
    not the one that the cache was made with.
    """
    cache = cache if isinstance(cache, SignalCache) else SignalCache(cache)
    cache.verify()
    signals = list(islice(cache.signals(), LOOKED_AT))
    vocabulary = cache.identity.vocabulary
    report: dict[str, Any] = {
        "identity": cache.identity.as_dict(),
        "rows": cache.rows,
        "positions": cache.positions,
        "bytes_per_position": cache.data_bytes / max(cache.positions, 1),
        "dense_bytes_per_position": 2 * vocabulary,
        "text_only_rows": sum(isinstance(one, TextOnly) for one in signals),
        "looked_at_rows": len(signals),
        "kept": _kept(signals),
        "covered": _covered(signals),
        "teacher_loss": {
            "rows": gold_loss(signals, vocabulary).loss,
            "own_text": None,
            "uniform": math.log(vocabulary),
        },
        "kl": None,
        "kl_coarse": None,
        "rescore": None,
        "contradicted": None,
    }
    some = _some(rows, sample_rows, seed)
    if some:
        cache.need_all(rows)
        wrong = [disagreement(row, cache.read(row)) for row in some]
        report["contradicted"] = float(np.mean(wrong))
    if teacher is not None and some:
        report |= _live(cache, some, teacher, budget_bytes)
        report["teacher_loss"]["own_text"] = own_text_loss(
            teacher, cache.identity, some, seed=seed, budget_bytes=budget_bytes
        )
    return report


def own_text_loss(
    teacher: LocalModel,
    identity: Identity,
    rows: Sequence[SignalRow],
    *,
    seed: int = 0,
    budget_bytes: int = BUDGET_BYTES,
) -> float | None:
    """The teacher's loss on what it writes itself after the rows' prompts; None if it is silent.

    Drawn at temperature 1, so this is its own uncertainty; far more says that reading and writing
    do not meet at the same positions.
    """
    starts = [row.ids_T[: row.positions_N[0]].tolist() for row in rows]
    seeds = [seed + at for at in range(len(rows))]
    written = teacher.generate(
        starts, max_tokens=OWN_TOKENS, temperature=1.0, top_p=1.0, seeds=seeds
    )
    # A head's padding may be drawn, as it is in no text.
    kept = [list(takewhile(lambda token: token < identity.vocabulary, one.ids)) for one in written]
    own = [
        SignalRow.of(str(at), [*start, *ids], [False] * len(start) + [True] * len(ids))
        for at, (start, ids) in enumerate(zip(starts, kept, strict=True))
        if ids
    ]
    if not own:
        return None
    only_gold = replace(identity, settings=CaptureSettings(kind="token", codec="raw"))
    scored = [
        signal
        for batch in batches(teacher, own)
        for signal in score(teacher, only_gold, batch, budget_bytes)
    ]
    return gold_loss(scored, identity.vocabulary).loss


def _live(
    cache: SignalCache, rows: Sequence[SignalRow], teacher: LocalModel, budget_bytes: int
) -> dict[str, Any]:
    """Figures that need the teacher: it is asked again about some rows."""
    # Whether its vocabulary is the cache's, the cache's own tokenizer being the teacher's.
    identity = local_identity(teacher, teacher.tokenizer, cache.identity.settings)
    cache.identity.need_equal(identity, str(cache.folder))
    kls: list[Tensor] = []
    errors: list[Mapping[str, float]] = []
    for batch in batches(teacher, rows):
        stored = [cache.read(row) for row in batch]
        fresh = score(teacher, identity, batch, budget_bytes)
        errors += [_errors(old, new) for old, new in zip(stored, fresh, strict=True)]
        supports = [one for one in stored if isinstance(one, TopK)]
        if len(supports) == len(batch):
            kls += _divergences(teacher, identity, batch, joined(supports), budget_bytes)
    full, coarse = torch.cat(kls, dim=1).numpy() if kls else (None, None)
    rescore = {name: max(one[name] for one in errors) for name in errors[0]}
    return {
        "kl": _spread(full),
        "kl_coarse": _spread(coarse),
        "rescore": {"rows": len(rows), **rescore},
    }


def _divergences(
    teacher: LocalModel,
    identity: Identity,
    batch: Sequence[SignalRow],
    stored: TopK,
    budget_bytes: int,
) -> list[Tensor]:
    """KL(teacher || reconstructed) per position, (2, N): tail spread evenly, and as one token."""
    size = positions_per_chunk(identity.vocabulary, budget_bytes, identity.settings) // 2 or 1

    def use(logits_NV: Tensor, gold_N: Tensor, place: slice) -> Tensor:
        logp_NV = logits_NV.double().log_softmax(-1).cpu()
        part = slice(int(stored.starts_M[place.start]), int(stored.starts_M[place.stop]))
        counts_N = torch.from_numpy(stored.counts_N[place].astype(np.int64))
        at_E = torch.repeat_interleave(torch.arange(len(counts_N)), counts_N)
        ids_E = torch.from_numpy(stored.ids_E[part].astype(np.int64))
        logq_E = torch.from_numpy(stored.logp_E[part].astype(np.float64))
        logp_E = logp_NV[at_E, ids_E]
        head_N = torch.zeros(len(counts_N), dtype=torch.float64)
        head_N.index_add_(0, at_E, logp_E.exp() * (logp_E - logq_E))
        log_tail_N = torch.from_numpy(stored.log_tail_N[place].astype(np.float64))
        left_N = (identity.vocabulary - counts_N).clamp(min=1).double()
        rest_NV = logp_NV.index_put((at_E, ids_E), torch.tensor(-math.inf, dtype=torch.float64))
        mass_N = rest_NV.logsumexp(-1)
        even_N = (log_tail_N - left_N.log())[:, None]
        spread = rest_NV.exp() * (rest_NV.clamp(min=-1e4) - even_N.clamp(min=-1e4))
        whole = mass_N.exp() * (mass_N.clamp(min=-1e4) - log_tail_N.clamp(min=-1e4))
        return torch.stack([head_N + spread.sum(-1), head_N + whole])

    return read_chunks(teacher, batch, identity.vocabulary, size, use)


def _errors(old: Signal, new: Signal) -> dict[str, float]:
    """How far the stored figures are from fresh ones; ids that only one side has are a share."""
    out = {"max_error": 0.0, "max_error_p": 0.0, "gold_error": 0.0, "other_ids": 0.0}
    if isinstance(old, TextOnly) or isinstance(new, TextOnly):
        return out
    out["gold_error"] = float(np.nanmax(np.abs(old.gold_logp_N - new.gold_logp_N), initial=0.0))
    if isinstance(old, TokenLogp) or isinstance(new, TokenLogp):
        out["max_error"] = out["gold_error"]
        return out
    both, at_old, at_new = np.intersect1d(
        _placed(old), _placed(new), assume_unique=True, return_indices=True
    )
    out["other_ids"] = 1 - 2 * len(both) / max(len(old.ids_E) + len(new.ids_E), 1)
    if isinstance(old, TopK) and isinstance(new, TopK):
        was, now = old.logp_E[at_old], new.logp_E[at_new]
        out["max_error"] = float(np.abs(was - now).max(initial=0.0))
        out["max_error_p"] = float(np.abs(np.exp(was) - np.exp(now)).max(initial=0.0))
    return out


def _placed(signal: TopK | Sampled) -> NDArray[np.int64]:
    owner_E = np.repeat(np.arange(signal.positions, dtype=np.int64), signal.counts_N)
    return (owner_E << 32) + signal.ids_E


def _kept(signals: Sequence[Signal]) -> dict[str, float] | None:
    counts = [one.counts_N for one in signals if isinstance(one, TopK | Sampled)]
    if not counts:
        return None
    whole = np.concatenate(counts)
    return {"mean": float(whole.mean()), "min": int(whole.min()), "max": int(whole.max())}


def _covered(signals: Sequence[Signal]) -> dict[str, float] | None:
    """Quantiles of the support's mass: `p05` is what 5 % of the positions stay under."""
    tails = [one.log_tail_N for one in signals if isinstance(one, TopK)]
    if not tails:
        return None
    mass_N = -np.expm1(np.concatenate(tails).astype(np.float64))
    figures = {f"p{round(100 * q):02}": float(np.quantile(mass_N, q)) for q in QUANTILES}
    return {"mean": float(mass_N.mean()), "min": float(mass_N.min()), **figures}


def _spread(values: NDArray[np.float64] | None) -> dict[str, float] | None:
    if values is None:
        return None
    return {
        "mean": float(values.mean()),
        "p95": float(np.quantile(values, 0.95)),
        "max": float(values.max()),
        "positions": len(values),
    }


def _some(rows: Sequence[SignalRow], count: int, seed: int) -> list[SignalRow]:
    with_tokens = [row for row in rows if len(row.positions_N)]
    order = np.random.default_rng(seed).permutation(len(with_tokens))[:count]
    return [with_tokens[at] for at in order.tolist()]
