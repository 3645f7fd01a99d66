"""A judge's allowed answers, each scored by its full token sequence at the verdict's position.

The answers' log-probabilities, renormalised among themselves, are compared with the teacher's
distribution or with vote shares. Give every answer its closing token: of two answers of which one
begins the other, the shorter would be counted within the longer.
Shapes: N verdicts, S allowed answers, L tokens of the longest answer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from distill.losses.dense import Slope
from distill.losses.targets import VerdictTargets
from distill.recipe.training import VerdictLoss


class AnswerScores(NamedTuple):
    """How likely a model finds each allowed answer."""

    logp_NS: Tensor
    """Among the allowed answers: exp() of a row sums to 1."""
    left_over_N: Tensor
    """The mass that the model gives to anything else; reported, not trained on."""


def sequence_logp(logp_NSL: Tensor, keep_NSL: Tensor) -> Tensor:
    """Log-probability of every answer as a whole: what `per_token_loss` takes for `verdict`.

    Shapes: (N, S, L) of each token given the answer's earlier ones, padded where keep is False;
    returns (N, S).
    Units: nats.
    Source: the chain rule.
    """
    return logp_NSL.masked_fill(~keep_NSL, 0.0).sum(dim=-1)


def answer_scores(sequence_logp_NS: Tensor) -> AnswerScores:
    """The allowed answers renormalised, and the mass that is left over.

    Shapes: (N, S), returns (N, S), (N,).
    Units: nats; probability.
    Source: Chiang et al. 2025, arXiv:2503.04381, with the left-over mass kept apart.
    """
    log_mass_N = sequence_logp_NS.logsumexp(dim=-1)
    return AnswerScores(
        torch.log_softmax(sequence_logp_NS, dim=-1), -torch.expm1(log_mass_N.detach())
    )


def clash(answers: Sequence[Sequence[int]]) -> tuple[int, int] | None:
    """Two answers of which the first one's tokens begin the second's, by position, or None."""
    for first, short in enumerate(answers):
        for second, long in enumerate(answers):
            if first != second and list(long[: len(short)]) == list(short):
                return first, second
    return None


def expected_error(logq_NS: Tensor, targets: VerdictTargets) -> Tensor:
    """How far the student's expected score lies above the target's.

    Shapes: renormalised log-probabilities (N, S), returns (N,).
    Units: score points.
    Source: Chiang et al. 2025, arXiv:2503.04381.
    """
    p_NS = targets.p_NS.to(logq_NS.dtype)
    return ((logq_NS.exp() - p_NS) * targets.scores_S.to(logq_NS.dtype)).sum(dim=-1)


def value(logq_NS: Tensor, targets: VerdictTargets, loss: VerdictLoss) -> Tensor:
    """The loss of every verdict, from renormalised log-probabilities, differentiable.

    Shapes: (N, S), returns (N,).
    Units: kl nats; cdf sum of squared probabilities; expected squared score points.
    Source: cdf Hou et al. 2016, arXiv:1611.05916; expected arXiv:2503.04381.
    """
    p_NS = targets.p_NS.to(logq_NS.dtype)
    if loss.form == "kl":
        return (torch.xlogy(p_NS, p_NS) - p_NS * logq_NS).sum(dim=-1)
    if loss.form == "cdf":
        return (logq_NS.exp() - p_NS).cumsum(dim=-1).square().sum(dim=-1)
    return expected_error(logq_NS, targets).square()


def slope(logq_NS: Tensor, targets: VerdictTargets, loss: VerdictLoss) -> Slope:
    """The loss of every verdict and its gradient with respect to the answers' log-probabilities.

    Shapes: (N, S), returns (N,), (N, S).
    Units: as `value`.
    Source: as `value`.
    """
    p_NS, q_NS = targets.p_NS.to(logq_NS.dtype), logq_NS.exp()
    value_N = value(logq_NS, targets, loss)
    if loss.form == "kl":
        return Slope(value_N, q_NS * p_NS.sum(dim=-1, keepdim=True) - p_NS)
    if loss.form == "cdf":
        gap_NS = (q_NS - p_NS).cumsum(dim=-1)
        # Answer s moves every cumulative sum from s on.
        a_NS = 2 * gap_NS.flip(-1).cumsum(dim=-1).flip(-1)
    else:
        error_N = expected_error(logq_NS, targets)
        a_NS = 2 * error_N[:, None] * targets.scores_S.to(logq_NS.dtype)
    return Slope(value_N, q_NS * (a_NS - (q_NS * a_NS).sum(dim=-1, keepdim=True)))
