"""What every backend owes: the reference's values and gradients, and the losses' invariances."""

from dataclasses import fields

import pytest
import torch

from distill.losses import reference
from distill.losses.spec import SPECS, gradient_note
from distill.losses.targets import SparseTargets, rows_of

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 2e-5}


def close(got, want, tolerance):
    torch.testing.assert_close(got.double(), want.double(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32", "bfloat16"])
def test_equals_the_reference(backend, case, dtype, draw, student):
    """Value and gradient are those of explicit probabilities in float64."""
    if dtype not in backend.dtypes:
        pytest.skip(f"{backend.name} has no {dtype}")
    student, targets = student.to(dtype), case.targets(draw, student)
    if isinstance(targets, torch.Tensor):
        targets = targets.to(dtype)
    value, grad = backend.run(student, targets, case.loss)
    want = reference.value_and_grad(student, targets, case.loss)
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    close(value, want.value_N, TOLERANCE[dtype])
    # A gradient that went through a 16-bit leaf is rounded to 8 bits once.
    rounded = grad.dtype == torch.bfloat16
    close(grad, want.dz_NV, 8e-3 if rounded else TOLERANCE[dtype])


def test_equals_the_reference_at_a_temperature(backend, divergence, draw, student, make):
    """Logits are divided by the temperature, and nothing is multiplied by its square."""
    loss = divergence.at(temperature=2.5)
    options = {"temperatures": [2.5]} if divergence.signal == "topk" else {}
    targets = make[divergence.signal](draw, student, **options)
    value, grad = backend.run(student, targets, loss)
    want = reference.value_and_grad(student, targets, loss)
    close(value, want.value_N, 1e-9)
    close(grad, want.dz_NV, 1e-9)


def test_the_gradient_is_that_of_the_returned_value(backend, case, draw, student):
    """Central differences of the value, unless the spec says that the gradient is another."""
    targets, step = case.targets(draw, student), 1e-6
    _, grad = backend.run(student, targets, case.loss)
    found = torch.zeros_like(student)
    for column in range(student.shape[1]):
        moved = torch.zeros_like(student)
        moved[:, column] = step
        up, _ = backend.run(student + moved, targets, case.loss)
        down, _ = backend.run(student - moved, targets, case.loss)
        found[:, column] = (up - down) / (2 * step)
    # A tenth of the largest entry: what the spec says is another gradient is so by far.
    apart = (found - grad).abs().max() > 0.01 * grad.abs().max()
    assert bool(apart) == (gradient_note(case.loss) is not None)
    if not apart:
        close(grad, found, 1e-7)


def test_is_what_the_spec_says_for_equal_distributions(backend, case, draw, student, make):
    """Student = teacher gives 0 and no gradient, also when the logits differ by a constant."""
    student = student.float()
    logp = student.double().log_softmax(-1)
    targets = {
        "dense": lambda: student + 4,
        "topk": lambda: make["topk"](draw, student, logits=student.double()),
        "sampled": lambda: _own_draws(make, draw, logp),
        "token": lambda: _own_token(make, draw, logp),
        "verdict": lambda: _own_shares(make, draw, logp),
    }[case.signal]()
    value, grad = backend.run(student, targets, case.loss)
    assert SPECS[case.loss.kind].at_equal == 0
    assert value.abs().max() < 1e-5
    if case.loss.kind != "tvd" and case.signal != "sampled":  # a corner; right on average only
        assert grad.abs().max() < 1e-5


def _own_draws(make, draw, logp):
    targets = make["sampled"](draw, logp)
    return type(targets)(targets.ids_NK, targets.weights_NK, logp.gather(-1, targets.ids_NK))


def _own_token(make, draw, logp):
    ids = make["token"](draw, logp).ids_N
    return type(make["token"](draw, logp))(ids, logp.gather(-1, ids[:, None])[:, 0])


def _own_shares(make, draw, logp):
    made = make["verdict"](draw, logp)
    return type(made)(logp.exp(), made.scores_S)


def test_a_constant_on_the_logits_changes_nothing(backend, case, draw, student):
    """Only differences between logits count; a gradient sums to 0 over the vocabulary."""
    targets = case.targets(draw, student)
    value, grad = backend.run(student, targets, case.loss)
    shifted = targets - 7 if isinstance(targets, torch.Tensor) else targets
    moved_value, moved_grad = backend.run(student + 5, shifted, case.loss)
    close(moved_value, value, 1e-10)
    close(moved_grad, grad, 1e-10)
    assert grad.sum(-1).abs().max() < 1e-10


def test_rows_do_not_touch_each_other(backend, case, draw, student):
    """A row is the same alone, in another order, and whatever stands in the other rows."""
    student, targets = student.float(), case.targets(draw, student)
    value, grad = backend.run(student, targets, case.loss)
    for at in range(len(student)):
        alone = rows_of(targets, slice(at, at + 1))
        one_value, one_grad = backend.run(student[at : at + 1], alone, case.loss)
        close(one_value, value[at : at + 1], 1e-6)
        close(one_grad, grad[at : at + 1], 1e-6)
    changed = student.clone()
    changed[1:] = 99.0
    assert backend.run(changed, targets, case.loss)[0][0] == value[0]


@pytest.mark.parametrize("padding", [1, 5])
def test_masked_columns_change_nothing(backend, over_vocabulary, padding, draw, student):
    """Columns that are -inf on both sides, as of a padded vocabulary, get no value or gradient."""
    targets = over_vocabulary.targets(draw, student)
    value, grad = backend.run(student, targets, over_vocabulary.loss)
    wide = torch.nn.functional.pad(student, (0, padding), value=-torch.inf)
    if isinstance(targets, torch.Tensor):
        targets = torch.nn.functional.pad(targets, (0, padding), value=-torch.inf)
    wide_value, wide_grad = backend.run(wide, targets, over_vocabulary.loss)
    close(wide_value, value, 1e-10)
    close(wide_grad[:, :-padding], grad, 1e-10)
    assert (wide_grad[:, -padding:] == 0).all()


def test_extreme_logits_stay_finite(backend, case, draw):
    """A certain student that is certainly wrong has a finite value and gradient."""
    student = torch.tensor([[200.0, -200.0, 0.0, -300.0]])
    teacher = student.flip(-1)
    targets = case.targets(draw, student.double())
    if case.signal == "dense":
        targets = teacher
    if case.signal == "topk":
        ids, logp = torch.tensor([[3, 1]]), torch.tensor([[-0.1, -3.0]])
        targets = SparseTargets(ids, logp, torch.log1p(-logp.exp().sum(-1)))
    value, grad = backend.run(student, targets, case.loss)
    assert value.isfinite().all()
    assert grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_bounds_hold_in_low_precision(backend, divergence, dtype, draw):
    """16-bit logits are widened before any log: nothing falls below 0 or leaves its bound."""
    student = 3 * torch.randn((40, 300), generator=draw, dtype=torch.float64)
    targets = divergence.targets(draw, student)
    if divergence.signal == "dense":
        # A student nearly there, where rounding is all that is left; and one far off.
        far = targets.to(dtype)
        targets = torch.cat([(student + 1e-2 * targets).to(dtype)[:20], far[20:]])
    value, _ = backend.run(student.to(dtype), targets, divergence.loss)
    assert value.min() > -1e-6
    bound = _bound(divergence.loss)
    assert value.max() < bound + 1e-5


def _bound(loss):
    def entropy(b):
        return -float(torch.special.xlogy(torch.tensor([b, 1 - b]), torch.tensor([b, 1 - b])).sum())

    if loss.kind in ("skew_kl", "skew_reverse_kl"):
        return -float(torch.tensor(loss.alpha).log())
    if loss.kind == "jsd" and 0 < loss.beta < 1:
        scale = loss.beta * (1 - loss.beta) if loss.normalised else 1.0
        return entropy(loss.beta) / scale
    return 1.0 if loss.kind == "tvd" else float("inf")


def test_logits_and_targets_are_left_as_they_are(backend, case, draw, student):
    """Neither is changed by being looked at."""
    targets = case.targets(draw, student)
    parts = [targets] if isinstance(targets, torch.Tensor) else _tensors_of(targets)
    before = [part.clone() for part in [student, *parts]]
    backend.run(student, targets, case.loss)
    assert all(torch.equal(old, new) for old, new in zip(before, [student, *parts], strict=True))


def _tensors_of(targets):
    values = [getattr(targets, field.name) for field in fields(targets)]
    return [value for value in values if isinstance(value, torch.Tensor)]
