"""Whether signals are those of their rows: the right tokens, from a model that knows the language.

A shift by one, another tokenizer or mixed-up rows all show in what a signal says of the tokens that
were written: its support disagrees with its own `gold_logp`, or the loss is that of a guess.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from distill.errors import DataError, Problem, RecipeError
from distill.signals.cache import SignalCache
from distill.signals.types import Sampled, Signal, SignalRow, TextOnly, TopK

TOLERANCE = 0.1
"""Nats, and as much again per nat of the range that a byte has to cover."""
SAMPLE_ROWS = 64


@dataclass(frozen=True, slots=True)
class GoldLoss:
    """What a teacher thinks of the tokens that were written."""

    positions: int
    loss: float
    """Mean of -log p, in nats."""
    uniform: float
    """The loss of a model that knows nothing."""

    @property
    def worse_than_uniform(self) -> bool:
        """Whether guessing would have been as good."""
        return self.positions > 0 and not self.loss < self.uniform


class GoldTally:
    """What a teacher thinks of the written tokens, summed up signal by signal; none is kept."""

    def __init__(self, vocabulary: int) -> None:
        self._uniform = math.log(vocabulary)
        self._positions, self._sum = 0, 0.0
        self.signals = 0

    def add(self, signals: Iterable[Signal]) -> None:
        """Count these; tokens that the teacher was not told about are left out."""
        for one in signals:
            self.signals += 1
            if isinstance(one, TextOnly):
                continue
            logp_N = one.gold_logp_N[~np.isnan(one.gold_logp_N)]
            self._positions += len(logp_N)
            self._sum += float(logp_N.sum(dtype=np.float64))

    def loss(self) -> GoldLoss:
        """The mean so far."""
        loss = -self._sum / self._positions if self._positions else math.nan
        return GoldLoss(self._positions, loss, self._uniform)


def gold_loss(signals: Iterable[Signal], vocabulary: int) -> GoldLoss:
    """The teacher's loss on the written tokens; those it was not told about are left out."""
    tally = GoldTally(vocabulary)
    tally.add(signals)
    return tally.loss()


def disagreement(row: SignalRow, signal: Signal) -> float:
    """The share of the row's told positions whose support contradicts the written token's figure.

    A written token in the support must have there what `gold_logp` says; one outside cannot be
    likelier than the least likely one inside. Draws can only say that a drawn token is possible.
    """
    if isinstance(signal, TopK):
        wrong_N, told_N = _top_k_wrong(row, signal)
    elif isinstance(signal, Sampled):
        owner_E = np.repeat(np.arange(signal.positions), signal.counts_N)
        often_N = np.zeros(signal.positions)
        hit_E = signal.ids_E == np.repeat(row.gold_N, signal.counts_N)
        often_N[owner_E[hit_E]] = signal.counts_E[hit_E] / signal.draws
        spread_N = 5 / math.sqrt(signal.draws) + TOLERANCE
        told_N = np.isfinite(signal.gold_logp_N)
        wrong_N = np.abs(often_N - np.exp(signal.gold_logp_N)) > spread_N
    else:
        return 0.0
    return float(wrong_N[told_N].mean()) if told_N.any() else 0.0


def check_cache(
    cache: SignalCache, rows: Sequence[SignalRow], *, sample: int = SAMPLE_ROWS, seed: int = 0
) -> GoldLoss:
    """The teacher's loss on some rows, after looking whether the cache can be trained from.

    Raises: DataError when a row is missing or signals are not those of their rows, RecipeError when
    the teacher is no better than a guess.
    """
    cache.need_all(rows)
    with_tokens = [row for row in rows if len(row.positions_N)]
    chosen = np.random.default_rng(seed).permutation(len(with_tokens))[:sample]
    picked = [with_tokens[at] for at in chosen.tolist()]
    signals = [cache.read(row) for row in picked]
    wrong = [disagreement(row, one) for row, one in zip(picked, signals, strict=True)]
    if wrong and float(np.mean(wrong)) > 0.02:
        worst = picked[int(np.argmax(wrong))]
        problem = Problem(
            file=str(cache.folder),
            key=worst.id,
            found=f"{np.mean(wrong):.0%} of the signals contradict the tokens of their rows",
            fix="The cache is scrambled or shifted: delete the folder and capture again.",
        )
        raise DataError("the signals are not those of the rows", [problem])
    loss = gold_loss(signals, cache.identity.vocabulary)
    refuse_ignorant(cache.identity.teacher, loss)
    return loss


def refuse_ignorant(teacher: str, loss: GoldLoss) -> None:
    """Nothing, where the teacher knows more than a guess.

    Raises: RecipeError.
    """
    if not loss.worse_than_uniform:
        return
    problem = Problem(
        key="train.signal.from",
        found=f"{teacher} has a loss of {loss.loss:.2f} nats per token on the rows' own answers; "
        f"guessing among all tokens has {loss.uniform:.2f}",
        allowed="a teacher that predicts its own texts",
        fix="Look at its weights, tokenizer and chat template (`distill doctor`).",
    )
    raise RecipeError("the teacher is worse than a guess", [problem])


def _top_k_wrong(
    row: SignalRow, signal: TopK
) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    counts_N = signal.counts_N
    told_N = ~np.isnan(signal.gold_logp_N) & (counts_N > 0)
    least_N, range_N = np.zeros((2, signal.positions))
    first = signal.starts_M[:-1][counts_N > 0]
    if len(first):
        least_N[counts_N > 0] = np.minimum.reduceat(signal.logp_E, first)
        range_N[counts_N > 0] = np.maximum.reduceat(signal.logp_E, first) - least_N[counts_N > 0]
    margin_N = TOLERANCE + TOLERANCE * range_N / 10
    wrong_N = signal.gold_logp_N > least_N + margin_N
    owner_E = np.repeat(np.arange(signal.positions), counts_N)
    hit_E = signal.ids_E == np.repeat(row.gold_N, counts_N)
    gap_E = np.abs(signal.logp_E - np.repeat(signal.gold_logp_N, counts_N))
    wrong_N[owner_E[hit_E]] = gap_E[hit_E] > margin_N[owner_E[hit_E]]
    return wrong_N, told_N
