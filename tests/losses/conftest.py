"""What the conformance suite runs: backends, and cases of loss and targets.

To put another backend through the whole suite, write a function that takes student logits (N, V),
targets and a loss and returns the loss per token (N,) and the gradient of its sum with respect to
those logits (N, V), and add it to BACKENDS. A fused head takes the logits as hidden states, with
the identity (V, V) as its weight; its gradient with respect to the hidden states is the answer.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from distill.losses import core, in_place
from distill.losses.targets import (
    SampledTargets,
    SparseTargets,
    TokenTargets,
    VerdictTargets,
)
from distill.recipe.training import (
    JSD,
    TVD,
    AdaptiveKL,
    ForwardKL,
    ReverseKL,
    SampledReverseKL,
    SkewKL,
    SkewReverseKL,
    VerdictLoss,
)

torch.set_num_threads(1)


@dataclass(frozen=True)
class Backend:
    """One way to compute every loss. Targets it cannot take are left out of its cases."""

    name: str
    run: Callable[[torch.Tensor, Any, Any], tuple[torch.Tensor, torch.Tensor]]
    targets: tuple[str, ...] = ("dense", "topk", "sampled", "token", "verdict")
    dtypes: tuple[torch.dtype, ...] = (torch.float64, torch.float32, torch.bfloat16)


def autograd(student, targets, loss):
    leaf = student.detach().clone().requires_grad_()
    value = core.per_token_loss(leaf, targets, loss)
    value.sum().backward()
    return value.detach(), leaf.grad


def written_out(student, targets, loss):
    return core.value_and_grad(student, targets, loss)


def written_over(student, targets, loss):
    """The gradient where the logits were, with cross-entropy at weight 0."""
    if not in_place.applies(targets, len(student), loss):
        return core.value_and_grad(student, targets, loss)
    z = student.to(torch.promote_types(student.dtype, torch.float32), copy=True)
    labels = torch.zeros(len(z), dtype=torch.long)
    weight = loss.model_copy(update={"weight": 1.0})
    found = in_place.logits_to_gradient(z, labels, z.new_zeros(len(z)), targets, weight)
    return found.kd_N, z


BACKENDS = [
    Backend("autograd", autograd),
    Backend("written_out", written_out),
    Backend("written_over", written_over, targets=("dense", "topk")),
]


def dense(draw, student, scale=3.0):
    return scale * torch.randn(student.shape, generator=draw, dtype=torch.float64)


def topk(draw, student, k=4, temperatures=(), logits=None):
    """The k likeliest tokens; every other row keeps one entry less."""
    logits = dense(draw, student) if logits is None else logits
    logp, ids = logits.log_softmax(-1).sort(dim=-1, descending=True)
    keep = torch.ones(len(ids), k, dtype=torch.bool)
    keep[::2, -1] = k == 1
    kept = logp[:, :k].where(keep, -torch.inf)
    outside = torch.cat([logp[:, k:], logp[:, :k].where(~keep, -torch.inf)], dim=-1)
    normalisers = {t: (logits / t).logsumexp(-1) - logits.logsumexp(-1) / t for t in temperatures}
    # What stands under an entry that does not count must not matter.
    ids = ids[:, :k].where(keep, ids[:, :1])
    return SparseTargets(ids, kept.nan_to_num(neginf=0), outside.logsumexp(-1), keep, normalisers)


def sampled(draw, student, draws=6):
    logp = dense(draw, student).log_softmax(-1)
    ids = torch.multinomial(logp.exp(), draws, replacement=True, generator=draw)
    return SampledTargets(ids, torch.full(ids.shape, 1 / draws), logp.gather(-1, ids))


def token(draw, student):
    ids = torch.randint(student.shape[-1], (len(student),), generator=draw)
    return TokenTargets(ids, dense(draw, student).log_softmax(-1).gather(-1, ids[:, None])[:, 0])


def verdict(draw, student):
    p = dense(draw, student).softmax(-1)
    p[0] = torch.eye(p.shape[1])[2]
    return VerdictTargets(p, torch.arange(p.shape[1], dtype=torch.float64))


@dataclass(frozen=True)
class Case:
    """A loss with its options on one kind of targets."""

    loss: Any
    signal: str = "dense"

    def __str__(self):
        shown = ("beta", "normalised", "alpha", "detached", "form")
        options = [f"{name}={getattr(self.loss, name)}" for name in shown if name in self._names()]
        return "-".join([self.loss.kind, self.signal, *options])

    def _names(self):
        return type(self.loss).model_fields

    def targets(self, draw, student):
        return MAKERS[self.signal](draw, student)

    def at(self, **options):
        return self.loss.model_copy(update=options)


MAKERS = {"dense": dense, "topk": topk, "sampled": sampled, "token": token, "verdict": verdict}
DENSE_LOSSES = [
    ForwardKL(),
    ReverseKL(kind="reverse_kl"),
    JSD(kind="jsd", beta=0.3),
    JSD(kind="jsd", beta=0.9, normalised=True),
    JSD(kind="jsd", beta=0.0),
    JSD(kind="jsd", beta=1.0),
    SkewKL(kind="skew_kl"),
    SkewReverseKL(kind="skew_reverse_kl"),
    SkewReverseKL(kind="skew_reverse_kl", alpha=0.4, detached=True),
    TVD(kind="tvd"),
    AdaptiveKL(kind="adaptive_kl"),
]
TOPK_LOSSES = [ForwardKL(), SkewKL(kind="skew_kl"), TVD(kind="tvd")]
CASES = [
    *[Case(loss) for loss in DENSE_LOSSES],
    *[Case(loss, "topk") for loss in TOPK_LOSSES],
    Case(ForwardKL(), "sampled"),
    Case(SampledReverseKL(kind="sampled_reverse_kl"), "token"),
    *[
        Case(VerdictLoss(kind="verdict", form=form), "verdict")
        for form in ("kl", "cdf", "expected")
    ],
]


FIXTURES = {
    "case": CASES,
    "divergence": [case for case in CASES if case.signal in ("dense", "topk")],
    "over_vocabulary": [case for case in CASES if case.signal != "verdict"],
}
"""Which cases a test gets, by the name of its argument."""


def pytest_generate_tests(metafunc):
    """Gives a test its cases, with every backend that takes them where it asks for one."""
    for name in FIXTURES.keys() & set(metafunc.fixturenames):
        cases = FIXTURES[name]
        if "backend" not in metafunc.fixturenames:
            metafunc.parametrize(name, cases, ids=str)
            return
        pairs = [(b, case) for b in BACKENDS for case in cases if case.signal in b.targets]
        ids = [f"{backend.name}-{case}" for backend, case in pairs]
        metafunc.parametrize(("backend", name), pairs, ids=ids)


@pytest.fixture
def draw():
    """A source of the same numbers in every test."""
    return torch.Generator().manual_seed(0)


@pytest.fixture
def student(draw):
    """Logits of 7 tokens over 13 pieces."""
    return 3 * torch.randn((7, 13), generator=draw, dtype=torch.float64)


@pytest.fixture
def make():
    """The makers of targets, by signal, for tests that need more than a case."""
    return MAKERS
