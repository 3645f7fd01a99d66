"""The float32 losses against the float64 reference, closed forms and limits."""

import math

import pytest
import torch

from distill.losses import core, reference
from distill.losses.spec import SPECS
from distill.recipe.training import JSD, ForwardKL, ReverseKL

ALL = [
    ForwardKL(),
    ReverseKL(kind="reverse_kl"),
    JSD(kind="jsd", beta=0.3),
    JSD(kind="jsd", beta=0.9, normalised=True),
    JSD(kind="jsd", beta=0.0),
    JSD(kind="jsd", beta=1.0),
]
NAMES = [f"{loss.kind}-{getattr(loss, 'beta', '')}" for loss in ALL]


def _logits(rows: int = 7, vocabulary: int = 13, scale: float = 3.0) -> tuple[torch.Tensor, ...]:
    draw = torch.Generator().manual_seed(0)
    shape = (rows, vocabulary)
    return tuple(scale * torch.randn(shape, generator=draw, dtype=torch.float64) for _ in "sp")


@pytest.mark.parametrize("loss", ALL, ids=NAMES)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_equals_the_reference(loss, temperature):
    """Value and gradient agree with explicit probabilities in float64, at any temperature."""
    student, teacher = _logits()
    loss = loss.model_copy(update={"temperature": temperature})
    fast = student.float().requires_grad_()
    slow = student.clone().requires_grad_()
    got = core.per_token_loss(fast, teacher.float(), loss)
    want = reference.per_token_loss(slow, teacher, loss)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), want, atol=1e-5, rtol=1e-5)
    got.sum().backward()
    want.sum().backward()
    torch.testing.assert_close(fast.grad.double(), slow.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("loss", ALL, ids=NAMES)
def test_is_zero_for_equal_distributions(loss):
    """Student = teacher gives 0, as the spec says, also when the logits differ by a constant."""
    student, _ = _logits()
    value = core.per_token_loss(student.float(), student.float() + 4.0, loss)
    assert value.abs().max() < 1e-5
    assert SPECS[loss.kind].at_equal == 0


@pytest.mark.parametrize("loss", ALL, ids=NAMES)
def test_gradcheck(loss):
    """The gradient is that of the returned value."""
    student, teacher = _logits(rows=2, vocabulary=5)
    student.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda z: core.per_token_loss(z, teacher, loss), student, atol=1e-7
    )


def test_closed_form_gradients():
    """The gradients with respect to the student's logits are those of the literature."""
    student, teacher = _logits()
    p, q = teacher.softmax(-1), student.softmax(-1)
    beta = 0.3
    m = beta * p + (1 - beta) * q
    to_teacher, to_mixture = q.log() - p.log(), q.log() - m.log()
    want = {
        "forward_kl": q - p,
        "reverse_kl": q * (to_teacher - (q * to_teacher).sum(-1, keepdim=True)),
        "jsd": (1 - beta) * q * (to_mixture - (q * to_mixture).sum(-1, keepdim=True)),
    }
    for loss in ALL[:3]:
        z = student.clone().requires_grad_()
        core.per_token_loss(z, teacher, loss).sum().backward()
        torch.testing.assert_close(z.grad, want[loss.kind], atol=1e-10, rtol=1e-8)


def test_known_bernoulli_value():
    """Two tokens at .75/.25 against .5/.5 give the value worked out by hand."""
    teacher = torch.tensor([[math.log(0.75), math.log(0.25)]])
    student = torch.zeros(1, 2)
    want = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert core.per_token_loss(student, teacher, ForwardKL()).item() == pytest.approx(want)


@pytest.mark.parametrize(("beta", "end"), [(1e-6, ALL[0]), (1 - 1e-6, ALL[1])])
def test_normalised_jsd_is_continuous_at_its_ends(beta, end):
    """With `normalised` the value runs into forward and reverse KL; raw it shrinks to nothing."""
    student, teacher = (x.float() for x in _logits(scale=1.0))
    want = core.per_token_loss(student, teacher, end)
    smooth = core.per_token_loss(student, teacher, JSD(kind="jsd", beta=beta, normalised=True))
    torch.testing.assert_close(smooth, want, rtol=1e-4, atol=1e-4)
    raw = core.per_token_loss(student, teacher, JSD(kind="jsd", beta=beta))
    assert (raw < 0.01 * want).all()


@pytest.mark.parametrize("loss", ALL, ids=NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_stay_non_negative(loss, dtype):
    """16-bit logits are widened before any log, so no loss goes below zero."""
    student, teacher = _logits(rows=50, vocabulary=400)
    nearby = (student + 1e-2 * teacher).to(dtype)
    value = core.per_token_loss(student.to(dtype), nearby, loss)
    assert value.dtype == torch.float32
    assert value.min() > -1e-6


@pytest.mark.parametrize("loss", ALL, ids=NAMES)
def test_extreme_logits_stay_finite(loss):
    """A certain teacher against a certain, different student gives a finite value and gradient."""
    student = torch.tensor([[200.0, -200.0, 0.0]], requires_grad=True)
    teacher = torch.tensor([[-200.0, 200.0, 0.0]])
    value = core.per_token_loss(student, teacher, loss)
    value.sum().backward()
    assert value.isfinite().all()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize("loss", ALL, ids=NAMES)
def test_rows_do_not_touch_each_other(loss):
    """A row's loss is the same alone, in a batch, and whatever stands in the other rows."""
    student, teacher = (x.float() for x in _logits())
    whole = core.per_token_loss(student, teacher, loss)
    changed = student.clone()
    changed[1:] = 99.0
    assert core.per_token_loss(changed, teacher, loss)[0] == whole[0]
    folded = core.per_token_loss(student.view(7, 1, 13), teacher.view(7, 1, 13), loss)
    torch.testing.assert_close(folded[:, 0], whole)
