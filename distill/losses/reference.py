"""The losses in float64 from explicit probabilities: what every backend must equal.

No log-space, no closed forms, no autograd: row by row, a loss is a function of two probability
vectors, its gradient dL/dq carried through the softmax by its Jacobian matrix, diag(q) - q q^T.
Shapes: N tokens, V vocabulary, C entries of one row (its tokens, or kept tokens and ghost).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from distill.losses.targets import (
    SampledTargets,
    SparseTargets,
    Targets,
    TokenTargets,
    VerdictTargets,
    rows_of,
)
from distill.recipe.training import (
    JSD,
    AdaptiveKL,
    Loss,
    SkewKL,
    SkewReverseKL,
    VerdictLoss,
)


class ValueAndGrad(NamedTuple):
    """A loss per token and the gradient of their sum with respect to the student's logits."""

    value_N: Tensor
    dz_NV: Tensor


class _Row(NamedTuple):
    value: Tensor
    dq: Tensor
    """The gradient with respect to each probability of the student."""


def per_token_loss(student_logits_NV: Tensor, targets: Targets, loss: Loss) -> Tensor:
    """The loss of every token, in float64.

    Shapes: logits (N, V), returns (N,).
    Units: nats per token (see the spec).
    Source: distill.losses.spec.SPECS.
    """
    return value_and_grad(student_logits_NV, targets, loss).value_N


def value_and_grad(student_logits_NV: Tensor, targets: Targets, loss: Loss) -> ValueAndGrad:
    """The loss of every token and its gradient, in float64.

    Shapes: logits (N, V), returns (N,), (N, V).
    Units: nats per token (see the spec).
    Source: distill.losses.spec.SPECS.
    """
    values, slopes = [], []
    with torch.no_grad():
        for at, logits_V in enumerate(student_logits_NV.double()):
            q_V = torch.softmax(logits_V / loss.temperature, dim=-1)
            row = _row(q_V, rows_of(targets, slice(at, at + 1)), loss)
            jacobian_VV = (torch.diag(q_V) - torch.outer(q_V, q_V)) / loss.temperature
            values.append(row.value)
            slopes.append(jacobian_VV @ row.dq)
    return ValueAndGrad(torch.stack(values), torch.stack(slopes))


def _row(q_V: Tensor, targets: Targets, loss: Loss) -> _Row:
    if isinstance(targets, SparseTargets):
        return _sparse(q_V, targets, loss)
    if isinstance(targets, SampledTargets):
        return _sampled(q_V, targets)
    if isinstance(targets, TokenTargets):
        return _token(q_V, targets)
    if isinstance(targets, VerdictTargets):
        assert isinstance(loss, VerdictLoss)
        return _verdict(q_V, targets, loss)
    p_V = torch.softmax(targets[0].double() / loss.temperature, dim=-1)
    return DIVERGENCES[loss.kind](p_V, q_V, loss)


def _sparse(q_V: Tensor, targets: SparseTargets, loss: Loss) -> _Row:
    """The divergence of kept tokens and ghost; every token of the ghost has the ghost's slope."""
    kept = [
        at
        for at in range(targets.ids_NK.shape[1])
        if targets.keep_NK is None or targets.keep_NK[0, at]
    ]
    ids = [int(targets.ids_NK[0, at]) for at in kept]
    p_C, tail = targets.logp_NK[0, kept].double().exp(), float(targets.log_tail_N[0].exp())
    if loss.temperature != 1:
        assert targets.log_normalisers is not None
        scale = float(targets.log_normalisers[loss.temperature][0].exp())
        p_C = p_C ** (1 / loss.temperature) / scale
        tail = 1 - float(p_C.sum())
    rest = [at for at in range(len(q_V)) if at not in ids]
    q_C = q_V[ids]
    if rest:
        p_C = torch.cat([p_C, torch.tensor([tail], dtype=torch.float64)])
        q_C = torch.cat([q_C, q_V[rest].sum()[None]])
    row = DIVERGENCES[loss.kind](p_C, q_C, loss)
    dq_V = torch.zeros_like(q_V)
    dq_V[ids] = row.dq[: len(ids)]
    dq_V[rest] = row.dq[-1]
    return _Row(row.value, dq_V)


def _sampled(q_V: Tensor, targets: SampledTargets) -> _Row:
    value, dq_V = torch.zeros((), dtype=torch.float64), torch.zeros_like(q_V)
    for at, token in enumerate(targets.ids_NK[0].tolist()):
        weight = float(targets.weights_NK[0, at])
        if weight == 0:
            continue
        known = targets.logp_NK
        logp = math.log(weight) if known is None else float(known[0, at])
        value += weight * (logp - q_V[token].log())
        dq_V[token] -= weight / q_V[token]
    return _Row(value, dq_V)


def _token(q_V: Tensor, targets: TokenTargets) -> _Row:
    """The score function's term; not the gradient of the value."""
    token = int(targets.ids_N[0])
    k1 = q_V[token].log() - float(targets.logp_N[0])
    dq_V = torch.zeros_like(q_V)
    dq_V[token] = k1 / q_V[token]
    return _Row(k1, dq_V)


def _verdict(q_S: Tensor, targets: VerdictTargets, loss: VerdictLoss) -> _Row:
    p_S, scores_S = targets.p_NS[0].double(), targets.scores_S.double()
    if loss.form == "kl":
        return _forward_kl(p_S, q_S, loss)
    if loss.form == "expected":
        error = (q_S * scores_S).sum() - (p_S * scores_S).sum()
        return _Row(error**2, 2 * error * scores_S)
    value, dq_S = torch.zeros((), dtype=torch.float64), torch.zeros_like(q_S)
    for end in range(1, len(q_S) + 1):
        gap = q_S[:end].sum() - p_S[:end].sum()
        value += gap**2
        dq_S[:end] += 2 * gap
    return _Row(value, dq_S)


def _kl(a_C: Tensor, b_C: Tensor) -> Tensor:
    return torch.where(a_C > 0, a_C * (a_C.log() - b_C.log()), 0.0).sum()


def _log_ratio(a_C: Tensor, b_C: Tensor) -> Tensor:
    return torch.where(a_C > 0, a_C.log() - b_C.log(), 0.0)


def _forward_kl(p_C: Tensor, q_C: Tensor, _: Any) -> _Row:
    return _Row(_kl(p_C, q_C), torch.where(p_C > 0, -p_C / q_C, 0.0))


def _reverse_kl(p_C: Tensor, q_C: Tensor, _: Any) -> _Row:
    return _Row(_kl(q_C, p_C), _log_ratio(q_C, p_C) + 1)


def _jsd(p_C: Tensor, q_C: Tensor, loss: JSD) -> _Row:
    beta = loss.beta
    if beta == 0:
        return _forward_kl(p_C, q_C, loss)
    if beta == 1:
        return _reverse_kl(p_C, q_C, loss)
    m_C = beta * p_C + (1 - beta) * q_C
    value = beta * _kl(p_C, m_C) + (1 - beta) * _kl(q_C, m_C)
    through_p_C = torch.where(p_C > 0, -beta * p_C * (1 - beta) / m_C, 0.0)
    through_q_C = (1 - beta) * (_log_ratio(q_C, m_C) + 1)
    through_q_C -= torch.where(q_C > 0, (1 - beta) ** 2 * q_C / m_C, 0.0)
    scale = 1 / (beta * (1 - beta)) if loss.normalised else 1.0
    return _Row(scale * value, scale * (through_p_C + through_q_C))


def _skew_kl(p_C: Tensor, q_C: Tensor, loss: SkewKL) -> _Row:
    m_C = loss.alpha * p_C + (1 - loss.alpha) * q_C
    dq_C = torch.where(p_C > 0, -p_C * (1 - loss.alpha) / m_C, 0.0)
    return _Row(_kl(p_C, m_C), dq_C)


def _skew_reverse_kl(p_C: Tensor, q_C: Tensor, loss: SkewReverseKL) -> _Row:
    m_C = (1 - loss.alpha) * p_C + loss.alpha * q_C
    dq_C = _log_ratio(q_C, m_C) + 1
    if not loss.detached:
        dq_C -= torch.where(q_C > 0, q_C * loss.alpha / m_C, 0.0)
    return _Row(_kl(q_C, m_C), dq_C)


def _tvd(p_C: Tensor, q_C: Tensor, _: Any) -> _Row:
    return _Row(0.5 * (q_C - p_C).abs().sum(), 0.5 * (q_C - p_C).sign())


def _adaptive_kl(p_C: Tensor, q_C: Tensor, loss: AdaptiveKL) -> _Row:
    """The weights are held fixed; not the gradient of the value."""
    mass, tail, head = 0.0, 0.0, 0.0
    for at in sorted(range(len(p_C)), key=lambda at: float(p_C[at])):
        mass += float(p_C[at])
        gap = abs(float(p_C[at] - q_C[at]))
        tail, head = (tail + gap, head) if mass <= loss.head else (tail, head + gap)
    share = head / (head + tail) if head + tail > 0 else 0.5
    forward, reverse = _forward_kl(p_C, q_C, loss), _reverse_kl(p_C, q_C, loss)
    return _Row(
        share * forward.value + (1 - share) * reverse.value,
        share * forward.dq + (1 - share) * reverse.dq,
    )


DIVERGENCES: dict[str, Callable[[Tensor, Tensor, Any], _Row]] = {
    "forward_kl": _forward_kl,
    "reverse_kl": _reverse_kl,
    "jsd": _jsd,
    "skew_kl": _skew_kl,
    "skew_reverse_kl": _skew_reverse_kl,
    "tvd": _tvd,
    "adaptive_kl": _adaptive_kl,
}
"""Kind -> the divergence of a teacher's and a student's probabilities."""
