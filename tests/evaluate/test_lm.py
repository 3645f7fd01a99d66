"""Token figures of local models: equal to the plain formula, whatever the batch size."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from distill.evaluate import lm
from distill.evaluate.lm import shared_width, token_figures


@dataclass(frozen=True)
class Encoded:
    ids: list[int]
    supervised: list[bool]
    truncated: bool = False


def rows(count: int = 7) -> list[Encoded]:
    rng = random.Random(0)
    made = []
    for _ in range(count):
        length = rng.randint(2, 12)
        ids = [rng.randrange(20) for _ in range(length)]
        made.append(Encoded(ids, [rng.random() < 0.6 for _ in range(length)]))
    return made


def by_hand(student: Any, teacher: Any, row: Encoded) -> tuple[float, float, int]:
    """One row at a time in float64, from whole logits."""
    ids = torch.tensor([row.ids])
    mine = student.model(input_ids=ids).logits[0].double().log_softmax(-1)
    p = teacher.model(input_ids=ids).logits[0].double().log_softmax(-1)
    nll = kl = 0.0
    places = [place for place in range(1, len(row.ids)) if row.supervised[place]]
    for place in places:
        nll -= float(mine[place - 1, row.ids[place]])
        kl += float((p[place - 1].exp() * (p[place - 1] - mine[place - 1])).sum())
    return nll, kl, len(places)


@pytest.mark.parametrize("batch", [1, 2, 16])
def test_figures_equal_the_formula_at_any_batch_size(
    tiny_model: Callable[..., Any], batch: int
) -> None:
    """Cross-entropy and KL over supervised tokens, in the order of the rows."""
    student, teacher, encoded = tiny_model(0), tiny_model(1, layers=2), rows()
    for found, row in zip(token_figures(student, teacher, encoded, batch), encoded, strict=True):
        nll, kl, tokens = by_hand(student, teacher, row)
        assert found.nll_sum == pytest.approx(nll, abs=1e-4)
        assert found.kl_sum == pytest.approx(kl, abs=1e-4)
        assert found.tokens == tokens


def test_the_head_in_pieces_changes_nothing(
    tiny_model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Splitting the positions for memory gives the same sums."""
    student, teacher = tiny_model(0), tiny_model(1)
    whole = token_figures(student, teacher, rows())
    monkeypatch.setattr(lm, "HEAD_NUMBERS", 60)
    for one, other in zip(whole, token_figures(student, teacher, rows()), strict=True):
        assert one.nll_sum == pytest.approx(other.nll_sum, abs=1e-5)
        assert one.kl_sum == pytest.approx(other.kl_sum, abs=1e-5)


def test_a_model_is_no_distance_from_itself(tiny_model: Callable[..., Any]) -> None:
    """KL of a teacher to itself is zero."""
    model = tiny_model(0)
    for found in token_figures(model, model, rows()):
        assert found.kl_sum == pytest.approx(0.0, abs=1e-6)


def test_padded_heads_are_cut_to_the_vocabulary(tiny_model: Callable[..., Any]) -> None:
    """A teacher whose head is wider than its tokenizer is compared on the real ids only."""
    student, wide = tiny_model(0), tiny_model(1, width=32)
    found = token_figures(student, wide, rows())
    narrow = wide.model.get_output_embeddings().weight.data[:20]
    kl = 0.0
    for row in rows():
        ids = torch.tensor([row.ids])
        p = (wide.model.base_model(input_ids=ids)[0][0] @ narrow.T).double().log_softmax(-1)
        q = student.model(input_ids=ids).logits[0].double().log_softmax(-1)
        per_place = (p.exp() * (p - q)).sum(-1)
        kl += sum(float(per_place[i - 1]) for i in range(1, len(row.ids)) if row.supervised[i])
    assert sum(f.kl_sum or 0 for f in found) == pytest.approx(kl, abs=1e-4)


def test_other_vocabularies_give_no_kl(tiny_model: Callable[..., Any]) -> None:
    """Without a teacher, or with one that names tokens differently, KL is unknown."""
    student, other = tiny_model(0), tiny_model(1)
    vocabulary = {"</s>": 0, "other": 1}
    other.tokenizer = type("Tokenizer", (), {"get_vocab": lambda self: vocabulary})()
    for teacher in (None, other):
        found = token_figures(student, teacher, rows())
        assert all(f.kl_sum is None for f in found)
        assert sum(f.nll_sum for f in found) > 0
    assert shared_width(student.tokenizer, student.tokenizer) == 20


def test_a_soft_cap_after_the_head_is_kept(tiny_model: Callable[..., Any]) -> None:
    """A model whose logits are changed after the head is read from its own logits."""
    plain, capped = tiny_model(0), tiny_model(0)
    capped.plain_head = False
    for one, other in zip(
        token_figures(plain, None, rows()), token_figures(capped, None, rows()), strict=True
    ):
        assert one.nll_sum == pytest.approx(other.nll_sum, abs=1e-5)


def test_rows_without_supervised_tokens_count_nothing(tiny_model: Callable[..., Any]) -> None:
    """The first token has nothing before it; a row with no other supervised token is zero."""
    model = tiny_model(0)
    [first, none] = token_figures(
        model, model, [Encoded([3, 4], [True, False]), Encoded([5, 6, 7], [False] * 3)]
    )
    assert (first.nll_sum, first.kl_sum, first.tokens) == (0.0, 0.0, 0)
    assert none.tokens == 0
    assert token_figures(model, None, []) == []
