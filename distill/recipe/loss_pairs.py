"""Which loss can be computed from which signal, and why not from the others. No torch."""

from collections.abc import Collection, Mapping

from distill.recipe.training import JSD, Loss

SIGNALS = ("text", "token", "topk", "sampled", "dense")

_ESCAPE = (
    "it weighs tokens by the student's probability, and the signal says nothing of tokens outside "
    "the teacher's k: the student could move its mass there unpunished"
)
_DRAWS = (
    "a few draws from the teacher give an unbiased gradient for forward KL only; this loss is not "
    "linear in the teacher's probabilities"
)
_ONE_TOKEN = (
    "one log-probability per position is no distribution: the loss compares probabilities of the "
    "whole vocabulary"
)
_NEEDS_TOKEN = (
    "it is estimated from the teacher's log-probabilities of the tokens that the student wrote, "
    "which only the signal token holds"
)
_EXACT = "the signal holds every probability, so reverse_kl is exact; nothing need be estimated"
_ONE_ANSWER = (
    "the log-probability of the answer that was written says nothing of the other allowed answers; "
    "use topk, dense, or the votes with text"
)
_VERDICT = "the allowed answers are scored by whole token sequences, which draws do not cover"

REFUSED: Mapping[str, Mapping[str, str]] = {
    "forward_kl": {"token": _ONE_TOKEN},
    "reverse_kl": {"token": _ONE_TOKEN, "topk": _ESCAPE, "sampled": _DRAWS},
    "jsd": {"token": _ONE_TOKEN, "topk": _ESCAPE, "sampled": _DRAWS},
    "skew_kl": {"token": _ONE_TOKEN, "sampled": _DRAWS},
    "skew_reverse_kl": {"token": _ONE_TOKEN, "topk": _ESCAPE, "sampled": _DRAWS},
    "tvd": {"token": _ONE_TOKEN, "sampled": _DRAWS},
    "adaptive_kl": {"token": _ONE_TOKEN, "topk": _ESCAPE, "sampled": _DRAWS},
    "sampled_reverse_kl": {
        "text": _NEEDS_TOKEN,
        "topk": _NEEDS_TOKEN,
        "sampled": _NEEDS_TOKEN,
        "dense": _EXACT,
    },
    "verdict": {"token": _ONE_ANSWER, "sampled": _VERDICT},
}
"""Loss kind -> signal kind -> why the two do not go together; a pair that is absent does."""


def refuse(loss: Loss, signal: str, temperatures: Collection[float] = ()) -> str | None:
    """Why this loss cannot be computed from this kind of signal, or None where it can.

    Args:
        loss: the loss with its options.
        signal: one of SIGNALS.
        temperatures: those whose log-normalisers were stored with the signal.
    """
    reason = REFUSED[loss.kind].get(signal)
    return reason or _temperature(loss, signal, temperatures)


def _temperature(loss: Loss, signal: str, temperatures: Collection[float]) -> str | None:
    found = f"temperature {loss.temperature:g}: "
    if loss.kind == "verdict" and loss.temperature != 1:
        return f"{found}scores and vote shares are compared as they are, at temperature 1"
    if loss.temperature == 1 or signal == "text":
        return None
    if loss.kind == "sampled_reverse_kl":
        return f"{found}the tokens and their log-probabilities are those of temperature 1"
    if signal == "topk" and loss.temperature not in temperatures:
        return (
            f"{found}the mass outside the teacher's k tokens cannot be computed at another "
            "temperature afterwards; store its log-normaliser at capture, or leave it at 1"
        )
    if signal == "sampled":
        return f"{found}the draws were made at temperature 1"
    return None


def warnings(loss: Loss) -> list[str]:
    """What is allowed and probably not meant."""
    if not isinstance(loss, JSD) or loss.normalised or loss.beta in (0, 1):
        return []
    if 0.05 <= loss.beta <= 0.95:
        return []
    return [
        f"jsd with beta {loss.beta:g}: so near its end the value and gradient shrink to almost "
        "nothing; set normalised: true, or take the loss of that end itself"
    ]
