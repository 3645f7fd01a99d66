"""Matching the teacher's hidden states, through a projector where the widths differ.

Shapes: N tokens, H student hidden, G teacher hidden.
"""

from typing import Literal

from torch import Tensor
from torch.nn.functional import cosine_similarity

Measure = Literal["mse", "cosine"]


def hidden_distance(
    student_NH: Tensor,
    teacher_NG: Tensor,
    projector_GH: Tensor | None = None,
    measure: Measure = "mse",
) -> Tensor:
    """How far every projected student state lies from the teacher's; the teacher gets no gradient.

    Shapes: (N, H), (N, G), the projector's weight (G, H); without one H = G. Returns (N,) float32
    (float64 for float64 states).
    Units: mse mean over G of squared differences; cosine 1 - cos, 0 to 2.
    Source: mse Jiao et al. 2019 (TinyBERT), arXiv:1909.10351; cosine Sanh et al. 2019
    (DistilBERT), arXiv:1910.01108.
    """
    projected_NG = student_NH if projector_GH is None else student_NH @ projector_GH.T
    if projected_NG.shape != teacher_NG.shape:
        raise ValueError(
            f"hidden states of shape {tuple(projected_NG.shape)} against the teacher's "
            f"{tuple(teacher_NG.shape)}; give a projector"
        )
    wide_NG = projected_NG if projected_NG.element_size() == 8 else projected_NG.float()
    fixed_NG = teacher_NG.detach().to(wide_NG.dtype)
    if measure == "cosine":
        return 1 - cosine_similarity(wide_NG, fixed_NG, dim=-1)
    return (wide_NG - fixed_NG).square().mean(dim=-1)
