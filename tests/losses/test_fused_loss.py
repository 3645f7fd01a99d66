"""The fused loss is the objective on whole logits, in less memory."""

import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from distill.losses import core
from distill.losses.fused_loss import DenseTargets, FusedPlan, HeadTargets, Part, fused_loss
from distill.losses.objective import terms
from distill.losses.targets import SampledTargets, SparseTargets
from distill.recipe.training import (
    JSD,
    TVD,
    AdaptiveKL,
    ForwardKL,
    ReverseKL,
    SkewKL,
    SkewReverseKL,
)

N, V, H, WIDTH = 11, 40, 6, 37
LOSSES = [
    ForwardKL(),
    ForwardKL(temperature=2.0, weight=1.0, ce=0.0),
    ReverseKL(kind="reverse_kl"),
    JSD(kind="jsd", beta=0.3),
    JSD(kind="jsd", beta=0.9, normalised=True, temperature=1.5),
    SkewKL(kind="skew_kl"),
    SkewReverseKL(kind="skew_reverse_kl"),
    TVD(kind="tvd"),
    AdaptiveKL(kind="adaptive_kl"),
]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6}
SCHEDULES = ("forward", "recompute")


def _rows(count):
    """A budget of so many rows of float64 logits."""
    return count * V * 8 * 3


def _case(dtype=torch.float64, rows=N, width=V, hidden=H):
    torch.manual_seed(0)
    one = {"dtype": dtype, "requires_grad": True}
    parts = [
        Part(torch.randn(rows, hidden, **one), torch.randn(width, hidden, **one)),
        Part(torch.randn(rows, 2, **one), torch.randn(width, 2, **one)),
    ]
    teacher = torch.nn.Linear(5, width + 3, dtype=dtype).requires_grad_(False)
    states = torch.randn(rows, 5, dtype=dtype)
    labels = torch.randint(width - 3, (rows,))
    return parts, torch.randn(width, **one), DenseTargets(states, teacher), labels


def _naive(parts, bias, targets, plan):
    logits = sum(x @ weight.t() for x, weight in parts)
    logits = (logits if bias is None else logits + bias) * plan.scale
    if plan.softcap:
        logits = plan.softcap * torch.tanh(logits / plan.softcap)
    teacher = targets.teacher
    if isinstance(teacher, DenseTargets):
        teacher = teacher.project(teacher.hidden_MH)[:, : targets.width]
    return terms(logits, targets.labels_N, targets.loss, teacher, targets.signal_N, targets.width)


def _leaves(parts, bias):
    tensors = [bias, *(tensor for part in parts for tensor in part)]
    return [one for one in tensors if one is not None and one.requires_grad]


def _same(parts, bias, targets, plan, tolerance):
    want = _naive(parts, bias, targets, plan)
    got = fused_loss(parts, bias, targets, plan)
    for ours, theirs in zip(got[:3], (want.weighted, want.kd.sum, want.ce.sum), strict=True):
        assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=tolerance)
    leaves = _leaves(parts, bias)
    theirs = torch.autograd.grad(want.weighted * 0.3, leaves)
    ours = torch.autograd.grad(got.weighted * 0.3, leaves)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).abs().max() <= tolerance * other.abs().max()


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.kind)
def test_every_loss_equals_autograd_on_whole_logits(loss, dtype, schedule):
    """Value and gradients of hidden states, weights, bias and a low-rank part; padded columns."""
    parts, bias, teacher, labels = _case(dtype)
    targets = HeadTargets(labels, loss, teacher, width=WIDTH)
    _same(parts, bias, targets, FusedPlan(schedule, _rows(4)), TOLERANCE[dtype])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("rows", range(1, N + 1))
def test_the_chunk_size_changes_nothing(rows, schedule):
    """Chunks of 1 to N rows, also when the teacher speaks of some rows only."""
    parts, bias, teacher, labels = _case()
    signal = torch.arange(N) % 3 > 0
    some = DenseTargets(teacher.hidden_MH[signal], teacher.project)
    targets = HeadTargets(labels, ForwardKL(), some, signal, width=WIDTH)
    _same(parts, bias, targets, FusedPlan(schedule, _rows(rows)), 1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("shape", [(2.5, None), (0.7, 4.0), (1.0, 4.0)])
def test_scale_and_soft_cap_are_applied_inside(shape, schedule):
    """As Cohere, Granite and Gemma do it behind their output layer."""
    parts, bias, teacher, labels = _case()
    targets = HeadTargets(labels, JSD(kind="jsd"), teacher, width=WIDTH)
    plan = FusedPlan(schedule, _rows(4), *shape)
    _same(parts, bias, targets, plan, 1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_text_sparse_and_sampled_signals(schedule):
    """Without a teacher the text takes the whole weight; top-k and draws are cut with the rows."""
    parts, bias, teacher, labels = _case()
    plan = FusedPlan(schedule, _rows(3))
    _same(parts[:1], None, HeadTargets(labels, ForwardKL()), plan, 1e-12)
    logp = teacher.project(teacher.hidden_MH)[:, :WIDTH].log_softmax(-1)
    top, ids = logp.topk(5)
    tail = (1 - top.exp().sum(-1)).log()
    for signal in (SparseTargets(ids, top, tail), SampledTargets(ids, top.exp())):
        _same(parts, bias, HeadTargets(labels, ForwardKL(), signal, width=WIDTH), plan, 1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_what_is_frozen_gets_no_gradient(schedule):
    """Frozen weights cost no gradient buffer, and the others' gradients stay what they were."""
    parts, bias, teacher, labels = _case()
    parts[0].weight_VH.requires_grad_(False)
    targets = HeadTargets(labels, ForwardKL(), teacher, width=WIDTH)
    _same(parts, bias.detach(), targets, FusedPlan(schedule, _rows(4)), 1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_gradients_are_those_of_the_returned_value(schedule):
    """Finite differences of the returned scalar."""
    parts, bias, teacher, labels = _case()
    targets = HeadTargets(labels, ReverseKL(kind="reverse_kl"), teacher, width=WIDTH)

    def value(x, weight, bias):
        plan = FusedPlan(schedule, _rows(4))
        return fused_loss([Part(x, weight)], bias, targets, plan).weighted

    assert torch.autograd.gradcheck(value, (*parts[0], bias))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_rows_are_a_zero_with_gradients(schedule):
    """A rank without supervised tokens takes part with zeros."""
    parts, bias, teacher, labels = _case(rows=0)
    targets = HeadTargets(labels, ForwardKL(), teacher, width=WIDTH)
    found = fused_loss(parts, bias, targets, FusedPlan(schedule))
    found.weighted.backward()
    assert float(found.weighted.detach()) == 0
    assert all(leaf.grad is not None and not leaf.grad.any() for leaf in _leaves(parts, bias))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_mixed_precision_does_not_reach_the_loss(schedule):
    """Under bfloat16 autocast value and gradients are those of float32."""
    parts, bias, teacher, labels = _case(torch.float32)
    targets = HeadTargets(labels, ForwardKL(), teacher, width=WIDTH)
    leaves = _leaves(parts, bias)
    plain = fused_loss(parts, bias, targets, FusedPlan(schedule)).weighted
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = fused_loss(parts, bias, targets, FusedPlan(schedule)).weighted
        ours = torch.autograd.grad(mixed, leaves)
    assert torch.equal(plain, mixed)
    for one, other in zip(ours, torch.autograd.grad(plain, leaves), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_half_precision_inputs_are_summed_in_float32(schedule):
    """bfloat16 states and weights: the value of the upcast ones, gradients rounded once."""
    parts, bias, teacher, labels = _case(torch.float32)
    half = [Part(*(one.detach().bfloat16().requires_grad_() for one in part)) for part in parts]
    wide = [Part(*(one.detach().float().requires_grad_() for one in part)) for part in half]
    targets = HeadTargets(labels, ForwardKL(), teacher, width=WIDTH)
    ours = fused_loss(half, bias, targets, FusedPlan(schedule, _rows(2))).weighted
    theirs = fused_loss(wide, bias, targets, FusedPlan(schedule, _rows(2))).weighted
    assert torch.equal(ours, theirs)
    ours.backward()
    theirs.backward()
    for one, other in zip(_leaves(half, None), _leaves(wide, None), strict=True):
        assert one.grad.dtype == torch.bfloat16
        assert torch.equal(one.grad, other.grad.bfloat16())


def test_a_second_backward_pass_is_right_too():
    """Held gradients are scaled in place; they are worked out again for another pass."""
    parts, bias, teacher, labels = _case()
    targets = HeadTargets(labels, ForwardKL(), teacher, width=WIDTH)
    loss = fused_loss(parts, bias, targets, FusedPlan("forward")).weighted
    leaves = _leaves(parts, bias)
    first = torch.autograd.grad(loss * 3, leaves, retain_graph=True)
    again = torch.autograd.grad(loss * 3, leaves)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


class _Watch(TorchDispatchMode):
    """Counts products; remembers the largest tensor and the most bytes alive at once."""

    def __init__(self, ignore):
        super().__init__()
        self.products, self.largest, self.peak = 0, 0, 0
        self._known = {one.untyped_storage().data_ptr() for one in ignore}
        self._alive = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.products += "mm" in func.name()
        for one in out if isinstance(out, list | tuple) else [out]:
            if (
                isinstance(one, torch.Tensor)
                and one.untyped_storage().data_ptr() not in self._known
            ):
                self._alive[id(one)] = weakref.ref(one)
                self.largest = max(self.largest, one.numel())
        alive = [one for ref in self._alive.values() if (one := ref()) is not None]
        stores = [one.untyped_storage() for one in alive]
        self.peak = max(self.peak, sum({s.data_ptr(): s.nbytes() for s in stores}.values()))
        return out


def _watched(plan, softcap=None, grad=True):
    rows, width, hidden = 96, 4096, 3
    parts, _, teacher, labels = _case(torch.float32, rows, width, hidden)
    targets = HeadTargets(labels, ForwardKL(), teacher, width=width)
    inputs = [*parts[0], teacher.hidden_MH, teacher.project.weight, teacher.project.bias, labels]
    plan = FusedPlan(plan, 24 * width * 4 * 3, softcap=softcap)
    with torch.set_grad_enabled(grad), _Watch(inputs) as watch:
        found = fused_loss(parts[:1], None, targets, plan)
        if grad:
            found.weighted.backward()
    gradients = sum(one.numel() * 4 for one in parts[0])
    return watch, (watch.peak - gradients) / (24 * width * 4), found


@pytest.mark.parametrize("softcap", [None, 30.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_no_more_logits_than_three_chunks(schedule, softcap, monkeypatch):
    """No tensor is larger than one chunk of logits, and three of them are alive at most."""
    monkeypatch.setitem(core.BLOCK_ELEMENTS, "cpu", 4096)
    watch, buffers, _ = _watched(schedule, softcap)
    assert watch.largest <= 24 * (4096 + 3)
    # The blocks' few rows, the weight once more for its scaling.
    assert buffers <= 3.4
    assert watch.products == {"forward": 4 * 4, "recompute": 2 * 4 + 4 * 4}[schedule]


def test_evaluation_does_no_gradient_work(monkeypatch):
    """Under no_grad only the two projections of every chunk, though the weights want gradients."""
    monkeypatch.setitem(core.BLOCK_ELEMENTS, "cpu", 4096)
    watch, buffers, found = _watched("auto", grad=False)
    assert watch.products == 2 * 4
    assert watch.largest <= 24 * (4096 + 3)
    assert buffers <= 3.4
    assert not found.weighted.requires_grad
