"""What is kept of a teacher's logits: the likeliest tokens and their tail, or draws.

Sums are taken in float32, or in float64 where the logits are; the tail is summed over the tokens
left out, never as one minus the rest. Shapes: N positions, V vocabulary, K kept, R draws.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distill.signals.codecs.codec import starts_of
from distill.signals.settings import CaptureSettings
from distill.signals.types import Sampled, TokenLogp, TopK

BUFFERS = 5
"""Float32 copies of the logits that live at the same time while they are selected from."""


def positions_per_chunk(vocabulary: int, budget_bytes: int, settings: CaptureSettings) -> int:
    """How many positions may be selected from at once within a memory budget; at least one."""
    size = 8 if settings.kind == "sampled" else 4
    return max(1, budget_bytes // (vocabulary * size * BUFFERS))


def select(
    logits_NV: Tensor,
    gold_N: Tensor,
    settings: CaptureSettings,
    uniform_NR: NDArray[np.float64] | None = None,
) -> TokenLogp | TopK | Sampled:
    """The signal that the settings name; `sampled` needs the numbers in [0, 1) to draw with."""
    if settings.kind == "topk":
        return select_top_k(
            logits_NV,
            gold_N,
            k=settings.k,
            top_p=settings.top_p,
            min_k=settings.min_k,
            temperatures=settings.temperatures,
        )
    if settings.kind == "token":
        scores_NV = _exact(logits_NV)
        return TokenLogp(_array(_gold_logp(scores_NV, scores_NV.logsumexp(-1), gold_N)))
    if uniform_NR is None:
        raise ValueError("a sampled signal needs numbers to draw with")
    return select_sampled(logits_NV, gold_N, uniform_NR)


def select_top_k(
    logits_NV: Tensor,
    gold_N: Tensor,
    *,
    k: int,
    top_p: float | None = None,
    min_k: int = 1,
    temperatures: tuple[float, ...] = (),
) -> TopK:
    """The k likeliest tokens, or as many as hold `top_p` of the mass, with all that is left.

    Shapes: logits (N, V), gold (N). Units: nats.
    """
    scores_NV = _exact(logits_NV)
    total_N = scores_NV.logsumexp(-1)
    top = scores_NV.topk(min(k, scores_NV.shape[-1]), dim=-1)
    logp_NK = top.values - total_N[:, None]
    keep_NK = _kept(logp_NK, top_p, min_k)
    # Every entry left out points at the first one, which is always kept.
    out_NK = torch.where(keep_NK, top.indices, top.indices[:, :1])
    rest_NV = scores_NV.scatter(-1, out_NK, -math.inf)
    tails, normalisers = [rest_NV.logsumexp(-1) - total_N], []
    for temperature in temperatures:
        tempered_N = (scores_NV / temperature).logsumexp(-1)
        normalisers.append(tempered_N - total_N / temperature)
        tails.append((rest_NV / temperature).logsumexp(-1) - tempered_N)
    ids_E, logp_E = _ascending(top.indices, logp_NK, keep_NK)
    degrees = (len(temperatures), len(gold_N))
    return TopK(
        gold_logp_N=_array(_gold_logp(scores_NV, total_N, gold_N)),
        starts_M=starts_of(keep_NK.sum(-1).cpu().numpy()),
        ids_E=ids_E,
        logp_E=logp_E,
        log_tail_N=_array(tails[0]),
        temperatures=temperatures,
        log_tail_DN=_stacked(tails[1:], degrees),
        log_normalisers_DN=_stacked(normalisers, degrees),
    )


def select_sampled(logits_NV: Tensor, gold_N: Tensor, uniform_NR: NDArray[np.float64]) -> Sampled:
    """Draws with replacement from the softmax, by inverting its sum; equal numbers, equal draws."""
    scores_NV = logits_NV.double()
    total_N = scores_NV.logsumexp(-1)
    sums_NV = (scores_NV - total_N[:, None]).exp().cumsum(-1)
    wanted_NR = torch.from_numpy(uniform_NR).to(sums_NV.device) * sums_NV[:, -1:]
    width = scores_NV.shape[-1]
    found_NR = torch.searchsorted(sums_NV, wanted_NR, right=True)
    drawn_NR = found_NR.clamp(max=width - 1).cpu().numpy()
    places = np.arange(len(drawn_NR))[:, None] * width + drawn_NR
    distinct, counts_E = np.unique(places, return_counts=True)
    counts_N = np.bincount(distinct // width, minlength=len(drawn_NR))
    return Sampled(
        gold_logp_N=_array(_gold_logp(scores_NV, total_N, gold_N)),
        starts_M=starts_of(counts_N),
        ids_E=(distinct % width).astype(np.int32),
        counts_E=counts_E.astype(np.int32),
        draws=uniform_NR.shape[1],
    )


def _exact(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _kept(logp_NK: Tensor, top_p: float | None, min_k: int) -> Tensor:
    # A token that cannot be has no place in a support, whatever k says.
    possible_NK = logp_NK.isfinite()
    if top_p is None:
        return possible_NK
    before_NK = logp_NK.exp().cumsum(-1) - logp_NK.exp()
    floor_K = torch.arange(logp_NK.shape[-1], device=logp_NK.device) < min_k
    return possible_NK & ((before_NK < top_p) | floor_K)


def _ascending(
    ids_NK: Tensor, logp_NK: Tensor, keep_NK: Tensor
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Kept ids and values of all positions one after another, the ids of each ascending."""
    order = ids_NK.masked_fill(~keep_NK, torch.iinfo(ids_NK.dtype).max).argsort(-1)
    kept = keep_NK.gather(-1, order)
    ids_E = ids_NK.gather(-1, order)[kept].cpu().numpy().astype(np.int32)
    return ids_E, _array(logp_NK.gather(-1, order)[kept])


def _gold_logp(scores_NV: Tensor, total_N: Tensor, gold_N: Tensor) -> Tensor:
    return scores_NV.gather(-1, gold_N[:, None].to(scores_NV.device))[:, 0] - total_N


def _stacked(rows: list[Tensor], shape: tuple[int, int]) -> Any:
    return _array(torch.stack(rows)) if rows else np.zeros(shape, np.float32)


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.float().cpu().numpy()
