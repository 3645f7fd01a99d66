"""Matching hidden states through a projector."""

import pytest
import torch

from distill.losses.hidden import hidden_distance


def test_mse_by_hand():
    """The mean of squared differences over the teacher's width."""
    student, teacher = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]])
    assert hidden_distance(student, teacher).item() == 2.0


def test_a_projector_bridges_widths(draw):
    """Student 3 wide, teacher 5 wide; a projector that maps one to the other gives 0."""
    student = torch.randn((4, 3), generator=draw)
    projector = torch.randn((5, 3), generator=draw)
    teacher = student @ projector.T
    for measure in ("mse", "cosine"):
        assert hidden_distance(student, teacher, projector, measure).abs().max() < 1e-5


def test_cosine_looks_at_directions_only():
    """Length does not count; opposite is 2."""
    student = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    teacher = torch.tensor([[5.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    found = hidden_distance(student, teacher, measure="cosine")
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0, 2.0]))


@pytest.mark.parametrize("measure", ["mse", "cosine"])
def test_gradients_reach_student_and_projector_only(measure, draw):
    """The teacher is fixed."""
    student = torch.randn((4, 3), generator=draw, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn((4, 5), generator=draw, dtype=torch.float64, requires_grad=True)
    projector = torch.randn((5, 3), generator=draw, dtype=torch.float64, requires_grad=True)
    hidden_distance(student, teacher, projector, measure).sum().backward()
    assert teacher.grad is None
    fixed = teacher.detach()
    assert torch.autograd.gradcheck(
        lambda s, w: hidden_distance(s, fixed, w, measure), (student, projector)
    )


def test_half_precision_is_widened(draw):
    """Differences are taken in float32."""
    states = torch.randn((4, 3), generator=draw).bfloat16()
    assert hidden_distance(states, states * 2).dtype == torch.float32


def test_unequal_widths_need_a_projector():
    """Said, not broadcast."""
    with pytest.raises(ValueError, match="give a projector"):
        hidden_distance(torch.zeros(4, 1), torch.zeros(4, 5))
