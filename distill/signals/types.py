"""What a teacher says about the supervised tokens of one row, as plain arrays.

Entry n of a signal speaks of token `positions[n]` of its row, given the tokens before it: the shift
by one has been done, once, where the signal was made. Log-probabilities are in nats; a
`gold_logp_N` of NaN was not told (an API says nothing of the token that ends an answer).
Shapes: N supervised positions, E entries of all supports one after another, D temperatures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distill.signals.log_mass import log1mexp, segment_logsumexp

Floats = NDArray[np.float32]
Ints = NDArray[Any]


def _no_rows() -> Floats:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SignalRow:
    """One row that a teacher is asked about."""

    id: str
    ids_T: Ints
    positions_N: Ints
    """Which tokens are supervised, ascending; never 0, which nothing comes before."""

    @classmethod
    def of(cls, row: str, ids: Iterable[int], supervised: Iterable[bool]) -> "SignalRow":
        """The row of these ids; a supervised first token is left out."""
        positions_N = np.flatnonzero(np.fromiter(supervised, bool))
        return cls(row, np.fromiter(ids, np.int32), positions_N[positions_N > 0].astype(np.int32))

    @property
    def gold_N(self) -> Ints:
        """The tokens that are to be learnt."""
        gold_N: Ints = self.ids_T[self.positions_N]
        return gold_N


@dataclass(frozen=True, slots=True, eq=False)
class TextOnly:
    """The teacher says nothing about single tokens of this row; its text counts alone."""

    positions: int
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class TokenLogp:
    """The log-probability of each written token."""

    gold_logp_N: Floats

    @property
    def positions(self) -> int:
        """How many tokens it speaks of."""
        return len(self.gold_logp_N)


@dataclass(frozen=True, slots=True, eq=False)
class TopK:
    """The likeliest tokens of each position, and how much mass is left for all others.

    An empty support with a tail of 1 says nothing of its position.
    """

    gold_logp_N: Floats
    starts_M: Ints
    """M = N + 1: position n has the entries starts[n] to starts[n + 1]."""
    ids_E: Ints
    """Ascending within a position."""
    logp_E: Floats
    log_tail_N: Floats
    """log(1 - mass of the support); -inf where the support is the whole vocabulary."""
    temperatures: tuple[float, ...] = ()
    """Besides 1, the temperatures at which the tail is known exactly."""
    log_tail_DN: Floats = field(default_factory=_no_rows)
    log_normalisers_DN: Floats = field(default_factory=_no_rows)
    """log sum over the whole vocabulary of p ** (1 / temperature)."""

    @property
    def positions(self) -> int:
        """How many tokens it speaks of."""
        return len(self.gold_logp_N)

    @property
    def counts_N(self) -> Ints:
        """Entries of each position."""
        return np.diff(self.starts_M)

    def at(self, temperature: float) -> tuple[Floats, Floats]:
        """Log-probabilities of the entries (E) and of the tail (N) at a declared temperature.

        Raises: ValueError for another one: a tail cannot be tempered after the fact.
        """
        if temperature == 1.0:
            return self.logp_E, self.log_tail_N
        if temperature not in self.temperatures:
            raise ValueError(f"temperature {temperature} is not one of 1.0, {self.temperatures}")
        at = self.temperatures.index(temperature)
        normaliser_E = np.repeat(self.log_normalisers_DN[at], self.counts_N)
        logp_E = self.logp_E / np.float32(temperature) - normaliser_E
        return logp_E.astype(np.float32), self.log_tail_DN[at]


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """Tokens drawn from the teacher with replacement; counts / draws estimates p without bias."""

    gold_logp_N: Floats
    starts_M: Ints
    ids_E: Ints
    """Ascending within a position."""
    counts_E: Ints
    draws: int

    @property
    def positions(self) -> int:
        """How many tokens it speaks of."""
        return len(self.gold_logp_N)

    @property
    def counts_N(self) -> Ints:
        """Distinct tokens of each position."""
        return np.diff(self.starts_M)


Signal = TextOnly | TokenLogp | TopK | Sampled


def log_normalisers(
    logp_E: Floats, starts_M: Ints, temperatures: Sequence[float], log_tail_DN: Floats
) -> Floats:
    """The normalisers with which supports and their tails sum to 1 at each temperature: (D, N)."""
    out_DN = np.zeros_like(log_tail_DN)
    for at, temperature in enumerate(temperatures):
        head_N = segment_logsumexp(logp_E / np.float32(temperature), starts_M)
        known_N = np.isfinite(head_N)
        out_DN[at, known_N] = head_N[known_N] - log1mexp(log_tail_DN[at, known_N])
    return out_DN


def from_lists(gold_logp: Sequence[float], entries: Sequence[Sequence[tuple[int, float]]]) -> TopK:
    """The signal of (id, log-probability) lists; what they leave of 1 is the tail."""
    counts = [len(of_one) for of_one in entries]
    starts_M = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    ordered = [sorted(of_one) for of_one in entries]
    ids_E = np.fromiter((one for of_one in ordered for one, _ in of_one), np.int32)
    logp_E = np.fromiter((logp for of_one in ordered for _, logp in of_one), np.float64)
    # Servers round what they print, so a support may sum to slightly more than 1.
    mass_N = np.minimum(segment_logsumexp(logp_E, starts_M), np.log1p(-1e-7))
    return TopK(
        gold_logp_N=np.asarray(gold_logp, np.float32),
        starts_M=starts_M,
        ids_E=ids_E,
        logp_E=logp_E.astype(np.float32),
        log_tail_N=log1mexp(mass_N).astype(np.float32),
    )
