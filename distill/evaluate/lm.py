"""How well a local model predicts given text, token by token: cross-entropy and KL to a teacher.

Letters: B rows, T positions, H hidden width, N supervised positions, V vocabulary. Values in nats.
Figures are sums and counts for each row, so no batch size changes the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from distill.rows.encode import Encoded
    from teachers.local_model import LocalModel

HEAD_NUMBERS = 2**24
"""Most logits made at once (64 MB in float32); longer batches go through the head in pieces."""


@dataclass(frozen=True, slots=True)
class RowFigures:
    """Sums over the supervised tokens of one row."""

    nll_sum: float
    kl_sum: float | None
    """KL(teacher || student); None without a teacher that shares the vocabulary."""
    tokens: int


def shared_width(student_tokenizer: Any, teacher_tokenizer: Any) -> int | None:
    """How many token ids mean the same to both, or None when the vocabularies disagree.

    Models pad their heads beyond the tokenizer; only ids that a tokenizer knows are compared.
    """
    small, large = sorted(
        (_vocabulary(student_tokenizer), _vocabulary(teacher_tokenizer)), key=lambda v: len(v)
    )
    agree = bool(small) and all(large.get(token) == place for token, place in small.items())
    return max(small.values()) + 1 if agree else None


def token_figures(
    student: LocalModel, teacher: LocalModel | None, encoded: Sequence[Encoded], batch: int = 16
) -> list[RowFigures]:
    """For each row the student's cross-entropy and KL(teacher || student) over supervised tokens.

    Teacher-forced: the row's own tokens are given and each supervised one is predicted from those
    before it. The first token of a row has nothing before it and is never counted. Cross-entropy
    is over the student's whole head; KL is over the ids that both tokenizers know.

    Shapes: hidden states (B, T, H), of which only N supervised positions go through the head.
    """
    width = shared_width(student.tokenizer, teacher.tokenizer) if teacher else None
    by_length = sorted(range(len(encoded)), key=lambda place: len(encoded[place].ids))
    figures: dict[int, RowFigures] = {}
    for start in range(0, len(by_length), batch):
        places = by_length[start : start + batch]
        rows = [encoded[place] for place in places]
        reader = teacher if width is not None else None
        figures.update(zip(places, _batch_figures(student, reader, rows, width), strict=True))
    return [figures[place] for place in range(len(encoded))]


def _vocabulary(tokenizer: Any) -> Mapping[str, int]:
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()
    return vocabulary


def _batch_figures(
    student: LocalModel, teacher: LocalModel | None, rows: Sequence[Encoded], width: int | None
) -> list[RowFigures]:
    import torch

    predicted = [
        (row, place - 1, encoded.ids[place])
        for row, encoded in enumerate(rows)
        for place in range(1, len(encoded.ids))
        if encoded.supervised[place]
    ]
    nll, kl = [0.0] * len(rows), [0.0] * len(rows)
    if predicted:
        row_N, before_N, target_N = (
            torch.tensor(list(part)) for part in zip(*predicted, strict=True)
        )
        with torch.no_grad():
            student_ND = _before_head(student, rows, row_N, before_N)
            teacher_ND = _before_head(teacher, rows, row_N, before_N) if teacher else None
            for piece in _pieces(len(predicted), student):
                logits_NV = _logits(student, student_ND[piece])
                _add(nll, row_N[piece], _cross_entropy(logits_NV, target_N[piece]))
                if teacher is not None and teacher_ND is not None:
                    teacher_NV = _logits(teacher, teacher_ND[piece]).to(logits_NV.device)
                    _add(kl, row_N[piece], _kl(teacher_NV[:, :width], logits_NV[:, :width]))
    tokens = [sum(row == place for row, _, _ in predicted) for place in range(len(rows))]
    return [
        RowFigures(nll[place], kl[place] if teacher is not None else None, tokens[place])
        for place in range(len(rows))
    ]


def _before_head(
    model: LocalModel, rows: Sequence[Encoded], row_N: Tensor, before_N: Tensor
) -> Tensor:
    """What the head reads at the positions that predict a supervised token.

    A model that changes its logits after the head (a soft cap, a scale) gives its logits instead.
    Shapes: pads (B, T) on the right, where a causal model cannot see; returns (N, H) or (N, V).
    """
    import torch

    length = max(len(row.ids) for row in rows)
    ids_BT = torch.zeros((len(rows), length), dtype=torch.long)
    mask_BT = torch.zeros((len(rows), length), dtype=torch.long)
    for place, row in enumerate(rows):
        ids_BT[place, : len(row.ids)] = torch.tensor(row.ids)
        mask_BT[place, : len(row.ids)] = 1
    ids_BT, mask_BT = ids_BT.to(model.device), mask_BT.to(model.device)
    if model.plain_head:
        states = model.hidden(ids_BT, mask_BT)
    else:
        states = model.model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits
    return states[row_N.to(states.device), before_N.to(states.device)]


def _logits(model: LocalModel, states_ND: Tensor) -> Tensor:
    """Float32 logits (N, V) of what `_before_head` gave."""
    return (model.project(states_ND) if model.plain_head else states_ND).float()


def _pieces(count: int, student: LocalModel) -> Iterator[slice]:
    size = max(1, HEAD_NUMBERS // int(student.model.config.get_text_config().vocab_size))
    for start in range(0, count, size):
        yield slice(start, start + size)


def _cross_entropy(logits_NV: Tensor, target_N: Tensor) -> Tensor:
    """Minus the log-probability of each target. Shapes: (N, V), (N,) -> (N,). Units: nats."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits_NV, target_N.to(logits_NV.device), reduction="none")


def _kl(teacher_NV: Tensor, student_NV: Tensor) -> Tensor:
    """KL(teacher || student) of each position. Shapes: (N, V), (N, V) -> (N,). Units: nats."""
    teacher_logp, student_logp = teacher_NV.log_softmax(-1), student_NV.log_softmax(-1)
    return (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1)


def _add(sums: list[float], row_N: Tensor, value_N: Tensor) -> None:
    for row, value in zip(row_N.tolist(), value_N.double().tolist(), strict=True):
        sums[row] += value
