"""The losses in float64 from explicit probabilities: what every backend must equal.

Shapes: N tokens (any leading shape), V vocabulary.
"""

import torch
from torch import Tensor

from distill.recipe.training import JSD, Loss


def per_token_loss(student_logits_NV: Tensor, teacher_logits_NV: Tensor, loss: Loss) -> Tensor:
    """The loss of every token, in float64.

    Shapes: logits (..., V), returns (...).
    Units: nats per token.
    Source: distill.losses.spec.SPECS.
    """
    q_NV = torch.softmax(student_logits_NV.double() / loss.temperature, dim=-1)
    p_NV = torch.softmax(teacher_logits_NV.double() / loss.temperature, dim=-1)
    if loss.kind == "forward_kl":
        return _kl(p_NV, q_NV)
    if loss.kind == "reverse_kl":
        return _kl(q_NV, p_NV)
    if isinstance(loss, JSD):
        return _jsd(p_NV, q_NV, loss.beta, loss.normalised)
    raise ValueError(f"no reference for the loss {loss.kind!r}")


def _jsd(p_NV: Tensor, q_NV: Tensor, beta: float, normalised: bool) -> Tensor:
    if beta == 0:
        return _kl(p_NV, q_NV)
    if beta == 1:
        return _kl(q_NV, p_NV)
    m_NV = beta * p_NV + (1 - beta) * q_NV
    value_N = beta * _kl(p_NV, m_NV) + (1 - beta) * _kl(q_NV, m_NV)
    return value_N / (beta * (1 - beta)) if normalised else value_N


def _kl(a_NV: Tensor, b_NV: Tensor) -> Tensor:
    return (a_NV * (a_NV.log() - b_NV.log())).sum(dim=-1)
