"""What a teacher says of N tokens, as tensors: the second argument of every loss.

Dense targets are the teacher's logits, a plain tensor (N, V). The classes here hold less than that.
Shapes: N tokens, V vocabulary, K kept per token, S allowed answers. Log-probabilities in nats.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from distill.errors import DataError

FLOOR = -1e4
"""Log-probability of what cannot be: exp() of it is 0, and differences of two of it are 0, not nan.
Columns that are -inf on both sides drop out through it."""


@dataclass(frozen=True, slots=True)
class SparseTargets:
    """The teacher's k likeliest tokens and the mass of all others.

    An empty row with a tail of 1 says nothing: no value and no gradient.
    Source: kept sets with a ghost token, Anshumann et al. 2025, arXiv:2503.16870.
    """

    ids_NK: Tensor
    logp_NK: Tensor
    """Of the whole vocabulary at temperature 1, not renormalised over the kept tokens."""
    log_tail_N: Tensor
    """log(1 - kept mass); -inf where the kept tokens have it all."""
    keep_NK: Tensor | None = None
    """True where an entry counts, for tokens with different k; absent: all do."""
    log_normalisers: Mapping[float, Tensor] | None = None
    """Temperature T -> log of the sum over the whole vocabulary of p^(1/T), (N,); that is
    logsumexp(logits / T) - logsumexp(logits) / T."""

    def at(self, temperature: float) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the kept tokens and of all others at a temperature.

        Raises: DataError where the temperature's normaliser was not stored.
        """
        if temperature == 1:
            return self.logp_NK, self.log_tail_N
        stored = self.log_normalisers or {}
        if temperature not in stored:
            known = ", ".join(f"{one:g}" for one in (1.0, *stored))
            raise DataError(
                f"top-k targets hold no log-normaliser for temperature {temperature:g} "
                f"(allowed: {known}). Capture the signal with it, or set it to 1"
            )
        logp_NK = self.logp_NK / temperature - stored[temperature][:, None]
        kept_NK = logp_NK if self.keep_NK is None else logp_NK.where(self.keep_NK, -torch.inf)
        return logp_NK, log1mexp(kept_NK.logsumexp(dim=-1))


@dataclass(frozen=True, slots=True)
class SampledTargets:
    """Tokens drawn from the teacher, with the weight of each.

    Source: Random Sampling Knowledge Distillation, Anshumann et al. 2025, arXiv:2503.16870.
    """

    ids_NK: Tensor
    weights_NK: Tensor
    """An unbiased estimate of p: count / draws, or importance weights; 0 where an entry is none."""
    logp_NK: Tensor | None = None
    """The teacher's own log-probability of each; absent: the value, not the gradient, is biased."""

    @classmethod
    def from_counts(
        cls, ids_NK: Tensor, counts_NK: Tensor, logp_NK: Tensor | None = None
    ) -> "SampledTargets":
        """Targets from how often each token was drawn from the teacher itself.

        A token of which nothing was drawn gets no value and no gradient.
        """
        draws_N1 = counts_NK.sum(dim=-1, keepdim=True).clamp(min=1)
        return cls(ids_NK, counts_NK.double().div(draws_N1).float(), logp_NK)


@dataclass(frozen=True, slots=True)
class TokenTargets:
    """One token per position, which the student wrote, and what the teacher thinks of it."""

    ids_N: Tensor
    logp_N: Tensor


@dataclass(frozen=True, slots=True)
class VerdictTargets:
    """How likely each allowed answer is: the teacher's distribution, or vote shares."""

    p_NS: Tensor
    scores_S: Tensor
    """What each answer is worth; only the form `expected` looks at it. Answers in ascending
    order."""


Targets = Tensor | SparseTargets | SampledTargets | TokenTargets | VerdictTargets


def rows_of(targets: Targets, rows: slice) -> Targets:
    """Some of the tokens."""
    if isinstance(targets, Tensor):
        return targets[rows]
    per_token = [field.name for field in fields(targets) if field.name != "scores_S"]
    cut: dict[str, Any] = {name: _cut(getattr(targets, name), rows) for name in per_token}
    return replace(targets, **cut)


def log1mexp(log_mass_N: Tensor) -> Tensor:
    """log(1 - exp(x)) for x <= 0, -inf from 0 on; rounding may push a mass a little over 1.

    Shapes: (...), returns (...).
    Units: nats.
    Source: Maechler 2012, "Accurately computing log(1 - exp(-|a|))", section 2.
    """
    small = log_mass_N < -0.6931471805599453
    inside = log_mass_N.clamp(max=0)
    return torch.where(small, torch.log1p(-inside.exp()), torch.log(-torch.expm1(inside)))


def _cut(value: object, rows: slice) -> object:
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, Mapping):
        return {key: one[rows] for key, one in value.items()}
    return value
