"""How likely a teacher finds each allowed answer: its own distribution, row by row, at T = 1.

A live teacher scores the very tokens that the student does, once and before the first step; a cache
knows what was likely at the verdict's position.
Shapes: R rows with a verdict, S allowed answers, M nodes, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from distill.errors import DataError, Problem
from distill.losses.verdict import answer_scores, sequence_logp
from distill.signals.cache import SignalCache
from distill.signals.dense import TokenTeacher
from distill.signals.types import TopK
from distill.signals.vocabulary import shared_width
from distill.train.cached_signal import CachedSignal, signal_row
from distill.train.verdict_rows import AnswerTree, JudgedRow, VerdictCollator, sequences_of

BATCH_TOKENS = 4096

Shares = dict[int, tuple[float, ...]]
"""Key of a row -> the target distribution over its answers."""


def shares_of(
    rows: Sequence[Any],
    source: CachedSignal | TokenTeacher | None,
    tokenizer: Any,
    device: torch.device,
) -> Shares:
    """The target of every verdict as its signal tells it; without one as the rows do.

    Raises: DataError where there is none at all.
    """
    if source is None:
        found = written_shares(rows)
    elif isinstance(source, CachedSignal):
        found = cached_shares(source.cache, rows)
    else:
        width = shared_width(tokenizer, source.tokenizer)
        collator = VerdictCollator(tokenizer.pad_token_id or 0)
        found = teacher_shares(source, width, rows, collator, device)
    if not found:
        raise _no_verdict(any(isinstance(row, JudgedRow) for row in rows))
    return found


def written_shares(rows: Sequence[Any]) -> Shares:
    """What the rows themselves tell: votes, label probabilities, or the verdict that stands."""
    return {row.key: row.p_S for row in rows if isinstance(row, JudgedRow)}


def cached_shares(cache: SignalCache, rows: Sequence[Any]) -> Shares:
    """What a top-k cache tells of the answers' first tokens, renormalised over the answers.

    The first token stands for its answer, so no two answers may begin alike; an answer outside the
    kept tokens gets nothing. Rows of which none is kept are not in the result.
    Raises: DataError where answers begin alike.
    """
    found: Shares = {}
    for row in rows:
        if not isinstance(row, JudgedRow) or row.tree is None:
            continue
        asked = signal_row(row)
        signal = cache.read(asked)
        at = np.flatnonzero(asked.positions_N == row.tree.start)
        if not isinstance(signal, TopK) or not len(at):
            continue
        kept = slice(*signal.starts_M[at[0] : at[0] + 2])
        known = dict(zip(signal.ids_E[kept].tolist(), signal.logp_E[kept].tolist(), strict=True))
        mass_S = [float(np.exp(known.get(token, -np.inf))) for token in _first_tokens(row.tree)]
        if (total := sum(mass_S)) > 0:
            found[row.key] = tuple(mass / total for mass in mass_S)
    return found


@torch.no_grad()
def teacher_shares(
    teacher: TokenTeacher,
    width: int,
    rows: Sequence[Any],
    collator: VerdictCollator,
    device: torch.device,
) -> Shares:
    """What a live teacher thinks of each answer as a whole, renormalised over the answers.

    `width`: columns that stand for tokens of both vocabularies.
    """
    judged = [row for row in rows if isinstance(row, JudgedRow)]
    order = sorted(judged, key=lambda row: (row.tokens, row.key))
    found: Shares = {}
    while order:
        size = max(1, BATCH_TOKENS // (order[0].tokens * (1 + _branches(order[0]))))
        batch, order = order[:size], order[size:]
        inputs = {name: value.to(device) for name, value in collator(batch).items()}
        states_BTH = teacher.hidden(inputs["input_ids"], inputs["attention_mask"])
        columns = states_BTH.shape[1] - 1
        at_M = inputs["answer_at"]
        logits_MV = teacher.project(states_BTH[at_M // columns, at_M % columns])[:, :width]
        logp_MV = torch.log_softmax(logits_MV.float(), dim=-1)
        logp_RSL, keep_RSL = sequences_of(
            logp_MV.gather(-1, inputs["answer_ids"]), inputs["answer_paths"]
        )
        p_RS = answer_scores(sequence_logp(logp_RSL, keep_RSL)).logp_NS.exp()
        for row, p_S in zip(batch, p_RS.tolist(), strict=True):
            found[row.key] = tuple(p_S)
    return found


def left_to_text(rows: Sequence[Any], shares: Mapping[int, Sequence[float]]) -> list[Any]:
    """The rows, those of which nothing is told without their answers."""
    return [
        JudgedRow(row.id, row.key, row.input_ids_T, row.labels_T)
        if isinstance(row, JudgedRow) and row.key not in shares
        else row
        for row in rows
    ]


def _no_verdict(whole: bool) -> DataError:
    if whole:
        problem = Problem(
            key="train.signal",
            found="of no verdict the signal holds any allowed answer",
            fix="Capture more of each position (train.signal.k), or take the signal text.",
        )
    else:
        problem = Problem(
            key="train.max_length",
            found="no row's verdict lies within train.max_length: all are cut off",
            fix="Raise train.max_length, or shorten prompts and feedback.",
        )
    return DataError(problem.found, [problem])


def _branches(row: JudgedRow) -> int:
    return len(row.tree.branches) if row.tree else 0


def _first_tokens(tree: AnswerTree) -> list[int]:
    first = [answer[0] for answer in tree.answers]
    if len(set(first)) == len(first):
        return first
    problem = Problem(
        key="train.signal",
        found="two allowed answers begin with the same token, so what a cache holds of it is "
        "neither one's probability",
        allowed="text (votes), dense (a local teacher)",
        fix="Take another signal, or a scale of answers that begin differently.",
    )
    raise DataError(problem.found, [problem])
