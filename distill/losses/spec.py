"""What each loss is, in words and without torch: what `explain-loss` prints and tests hold it to.

p is the teacher, q the student, T the loss temperature. Every loss is per token, in nats unless
said otherwise, with both logits divided by T and nothing multiplied by T^2.
"""

from dataclasses import dataclass

from distill.recipe.loss_pairs import SIGNALS, refuse, warnings
from distill.recipe.training import Loss, SkewReverseKL

__all__ = [
    "NORMALISER",
    "SIGNALS",
    "SPECS",
    "TAIL",
    "TEMPERATURE",
    "LossSpec",
    "gradient_note",
    "refuse",
    "warnings",
]

NORMALISER = "supervised tokens of the whole optimiser step: all ranks, all accumulation steps"
TEMPERATURE = "both logits divided by T; value and gradient not multiplied by T^2"
NO_TEMPERATURE = "1 only"
TAIL = (
    "ghost: the tokens outside the teacher's k are one token more, with the mass that is left on "
    "each side; a lower bound of the full loss, 0 only where kept tokens and left-over mass agree"
)
NO_TAIL = "none: not computed from top-k targets"


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
    range: str = "0 to infinity"
    gradient_note: str | None = None
    """Where the gradient is not that of the value: why."""
    normaliser: str = NORMALISER
    temperature: str = TEMPERATURE
    tail: str = NO_TAIL


SPECS: dict[str, LossSpec] = {
    "forward_kl": LossSpec(
        kind="forward_kl",
        formula="KL(p || q) = sum p (log p - log q)",
        direction="mass-covering: the student is pulled wherever the teacher has mass",
        at_equal=0.0,
        gradient="q - p; top-k: q - p on the kept tokens, q (1 - tail p / tail q) on the others; "
        "sampled: W q - w, w the weights of the draws and W their sum",
        source="Hinton et al. 2015, arXiv:1503.02531, section 2; top-k and sampled: Anshumann et "
        "al. 2025, arXiv:2503.16870",
        tail=TAIL,
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
        range="0 to -beta log beta - (1 - beta) log(1 - beta); `normalised`: that divided by "
        "beta (1 - beta)",
    ),
    "skew_kl": LossSpec(
        kind="skew_kl",
        formula="KL(p || M) = sum p (log p - log M), M = alpha p + (1 - alpha) q",
        direction="mass-covering, and bounded: a token that the student rules out costs at most "
        "-log alpha",
        at_equal=0.0,
        gradient="q (a - E_q a), a = -(1 - alpha) p / M",
        source="Ko et al. 2024, arXiv:2402.03898, section 3",
        range="0 to -log alpha",
        tail=TAIL,
    ),
    "skew_reverse_kl": LossSpec(
        kind="skew_reverse_kl",
        formula="KL(q || M) = sum q (log q - log M), M = (1 - alpha) p + alpha q",
        direction="mode-seeking, and bounded: a token that the teacher rules out costs at most "
        "-log alpha",
        at_equal=0.0,
        gradient="q (a - E_q a), a = log q - log M - alpha q / M; `detached`: without the last "
        "term, as DistiLLM-2 trains",
        source="Ko et al. 2024, arXiv:2402.03898, section 3; `detached`: arXiv:2503.07067",
        range="0 to -log alpha",
        gradient_note="with `detached` the mixture is held fixed, so the gradient is not that of "
        "the value",
    ),
    "tvd": LossSpec(
        kind="tvd",
        formula="1/2 sum |p - q|",
        direction="symmetric: every difference of probability counts alike, rare tokens hardly",
        at_equal=0.0,
        gradient="q (a - E_q a), a = sign(q - p) / 2",
        source="Wen et al. 2023, arXiv:2307.15190",
        range="0 to 1 (probability, not nats)",
        tail=TAIL,
    ),
    "adaptive_kl": LossSpec(
        kind="adaptive_kl",
        formula=(
            "w KL(p || q) + (1 - w) KL(q || p), w = g_head / (g_head + g_tail), g = sum |p - q| "
            "over the teacher's head or tail; the tail are its least likely tokens, as many as "
            "have a mass of at most `head`; w = 1/2 where p = q"
        ),
        direction="forward KL where the student is off in the teacher's head, reverse KL where it "
        "is off in the tail",
        at_equal=0.0,
        gradient="w (q - p) + (1 - w) q (log q - log p - KL(q || p))",
        source="Wu et al. 2024, arXiv:2404.02657",
        gradient_note="w is held fixed, so the gradient is not that of the value",
    ),
    "sampled_reverse_kl": LossSpec(
        kind="sampled_reverse_kl",
        formula="k1 = log q(y) - log p(y), y a token that the student wrote; E_q k1 = KL(q || p)",
        direction="mode-seeking, from one log-probability per token; a single value may be "
        "negative",
        at_equal=0.0,
        gradient="k1 (e_y - q), the score function's: its expectation is the gradient of "
        "KL(q || p); only on tokens drawn from the student as it is",
        source='Schulman 2020, "Approximating KL divergence" (k1); Gu et al. 2023, '
        "arXiv:2306.08543, section 2.2, each token's own term",
        range="-infinity to infinity",
        gradient_note="differentiating k1 itself gives 0 on average (k3: forward KL's gradient), "
        "so the gradient is not that of the value",
        temperature=NO_TEMPERATURE,
    ),
    "verdict": LossSpec(
        kind="verdict",
        formula=(
            "over the allowed answers, each scored by its whole token sequence, renormalised: "
            "kl: KL(t || q); cdf: sum (Q_s - P_s)^2 of the cumulative distributions; expected: "
            "(E_q score - E_t score)^2; t the teacher's distribution or the vote shares"
        ),
        direction="towards the teacher's distribution of scores; cdf and expected count a far "
        "score more than a near one",
        at_equal=0.0,
        gradient="with respect to the answers' log-probabilities: kl: q - t; cdf: q (a - E_q a), "
        "a_s = 2 sum over r >= s of (Q_r - P_r); expected: the same with a_s = 2 (E_q - E_t) score",
        source="expected: Chiang et al. 2025, arXiv:2503.04381; cdf: Hou et al. 2016, "
        "arXiv:1611.05916; kl: Hinton et al. 2015, arXiv:1503.02531",
        normaliser="verdicts, one per row",
        temperature=NO_TEMPERATURE,
        tail="mass on anything but the allowed answers is reported, not trained on",
    ),
}
"""Kind -> what it is; the keys are those of `distill.losses.core.LOSSES`."""


def gradient_note(loss: Loss) -> str | None:
    """Why the gradient is not that of the value, or None where it is."""
    if isinstance(loss, SkewReverseKL) and not loss.detached:
        return None
    return SPECS[loss.kind].gradient_note
