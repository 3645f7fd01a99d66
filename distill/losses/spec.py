"""What each loss is, in words and without torch: what `explain-loss` prints and tests hold it to.

p is the teacher, q the student, T the loss temperature. Every loss is per token, in nats, with both
logits divided by T and nothing multiplied by T^2.
"""

from dataclasses import dataclass

NORMALISER = "supervised tokens of the whole optimiser step: all ranks, all accumulation steps"
TEMPERATURE = "both logits divided by T; value and gradient not multiplied by T^2"


@dataclass(frozen=True, slots=True)
class LossSpec:
    """One loss as people need to know it."""

    kind: str
    formula: str
    direction: str
    at_equal: float
    """Value at p = q."""
    gradient: str
    """With respect to the student's logits at T = 1."""
    source: str
    normaliser: str = NORMALISER
    temperature: str = TEMPERATURE


SPECS: dict[str, LossSpec] = {
    "forward_kl": LossSpec(
        kind="forward_kl",
        formula="KL(p || q) = sum p (log p - log q)",
        direction="mass-covering: the student is pulled wherever the teacher has mass",
        at_equal=0.0,
        gradient="q - p",
        source="Hinton et al. 2015, arXiv:1503.02531, section 2",
    ),
    "reverse_kl": LossSpec(
        kind="reverse_kl",
        formula="KL(q || p) = sum q (log q - log p)",
        direction="mode-seeking: the student is punished where the teacher has no mass",
        at_equal=0.0,
        gradient="q (log q - log p - KL(q || p))",
        source="Gu et al. 2023, arXiv:2306.08543, section 2.1",
    ),
    "jsd": LossSpec(
        kind="jsd",
        formula=(
            "beta KL(p || M) + (1 - beta) KL(q || M), M = beta p + (1 - beta) q; "
            "beta = 0 is KL(p || q), beta = 1 is KL(q || p); "
            "`normalised` divides by beta (1 - beta), continuous at both ends"
        ),
        direction="between the two: near beta = 0 like forward KL, near 1 like reverse KL; without "
        "`normalised` the value shrinks to 0 towards the ends and jumps at them",
        at_equal=0.0,
        gradient="(1 - beta) q [(log q - log M) - E_q(log q - log M)]",
        source="Agarwal et al. 2023, arXiv:2306.13649, section 2",
    ),
}
"""Kind -> what it is; the keys are those of `distill.losses.core.LOSSES`."""
