"""The reference itself, against values worked out by hand and finite differences."""

import math

import pytest
import torch

from distill.losses import reference
from distill.losses.spec import gradient_note
from distill.recipe.training import (
    JSD,
    TVD,
    AdaptiveKL,
    ForwardKL,
    ReverseKL,
    SkewKL,
    SkewReverseKL,
)

HALF, QUARTER = 0.5, 0.25
L15, L2, L05 = math.log(1.5), math.log(2), math.log(0.5)
BY_HAND = [
    (ForwardKL(), 0.75 * L15 + 0.25 * L05),
    (ReverseKL(kind="reverse_kl"), 0.5 * math.log(2 / 3) + 0.5 * L2),
    # M = .625, .375
    (JSD(kind="jsd"), 0.5 * (0.75 * math.log(1.2) + 0.25 * math.log(2 / 3))
     + 0.5 * (0.5 * math.log(0.8) + 0.5 * math.log(4 / 3))),
    # M = .5 + .5 (.25) = .625, .375
    (SkewKL(kind="skew_kl", alpha=0.5), 0.75 * math.log(1.2) + 0.25 * math.log(2 / 3)),
    (SkewReverseKL(kind="skew_reverse_kl", alpha=0.5), 0.5 * math.log(0.8) + 0.5 * math.log(4 / 3)),
    (TVD(kind="tvd"), 0.25),
    # The tail is the second token, the gaps are .25 each: half of both.
    (AdaptiveKL(kind="adaptive_kl"),
     0.5 * (0.75 * L15 + 0.25 * L05 + 0.5 * math.log(2 / 3) + 0.5 * L2)),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "want"), BY_HAND, ids=[loss.kind for loss, _ in BY_HAND])
def test_two_tokens_by_hand(loss, want):
    """Teacher .75/.25 against student .5/.5."""
    teacher = torch.tensor([[0.75, 0.25]], dtype=torch.float64).log()
    student = torch.zeros(1, 2, dtype=torch.float64)
    assert reference.per_token_loss(student, teacher, loss).item() == pytest.approx(want, abs=1e-12)


def test_three_tokens_by_hand():
    """A teacher that rules a token out costs forward KL nothing there."""
    teacher = torch.tensor([[HALF, HALF, 0.0]], dtype=torch.float64).log()
    student = torch.tensor([[HALF, QUARTER, QUARTER]], dtype=torch.float64).log()
    found = reference.value_and_grad(student, teacher, ForwardKL())
    assert found.value_N.item() == pytest.approx(0.5 * L2)
    want = torch.tensor([[0.0, -QUARTER, QUARTER]], dtype=torch.float64)
    torch.testing.assert_close(found.dz_NV, want)


def test_gradients_equal_finite_differences(case, draw, student):
    """Central differences of the reference's own value, wherever that is the gradient meant."""
    if gradient_note(case.loss):
        return
    targets, step = case.targets(draw, student), 1e-6
    grad = reference.value_and_grad(student, targets, case.loss).dz_NV
    for column in range(student.shape[1]):
        moved = torch.zeros_like(student)
        moved[:, column] = step
        up = reference.per_token_loss(student + moved, targets, case.loss)
        down = reference.per_token_loss(student - moved, targets, case.loss)
        torch.testing.assert_close(grad[:, column], (up - down) / (2 * step), atol=2e-8, rtol=1e-6)


def test_published_gradients(draw, student, make):
    """The gradients of the literature, where they differ from the value's derivative too."""
    teacher = make["dense"](draw, student)
    p, q = teacher.softmax(-1), student.softmax(-1)

    def carried(a):
        return q * (a - (q * a).sum(-1, keepdim=True))

    beta, alpha = 0.3, 0.1
    m = beta * p + (1 - beta) * q
    skewed, reverse_skewed = alpha * p + (1 - alpha) * q, (1 - alpha) * p + alpha * q
    to_skewed = q.log() - reverse_skewed.log()
    want = [
        (ForwardKL(), q - p),
        (ReverseKL(kind="reverse_kl"), carried(q.log() - p.log())),
        (JSD(kind="jsd", beta=beta), (1 - beta) * carried(q.log() - m.log())),
        (SkewKL(kind="skew_kl"), carried(-(1 - alpha) * p / skewed)),
        (
            SkewReverseKL(kind="skew_reverse_kl"),
            carried(to_skewed - alpha * q / reverse_skewed),
        ),
        (SkewReverseKL(kind="skew_reverse_kl", detached=True), carried(to_skewed)),
        (TVD(kind="tvd"), carried((q - p).sign() / 2)),
    ]
    for loss, gradient in want:
        found = reference.value_and_grad(student, teacher, loss).dz_NV
        torch.testing.assert_close(found, gradient, atol=1e-12, rtol=1e-9)
