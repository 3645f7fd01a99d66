"""What the schema accepts and this version cannot do yet; shrinks as stages are built."""

from collections.abc import Iterator

from distill.recipe.findings import Findings
from distill.recipe.schema import Recipe
from distill.recipe.training import Train

BUILT_LOSSES = (
    "forward_kl", "reverse_kl", "jsd", "skew_kl", "skew_reverse_kl", "tvd", "adaptive_kl",
    "sampled_reverse_kl", "verdict",
)  # fmt: skip

Unbuilt = tuple[str, str, str | None]
"""Key, what is not built, what is."""


def refuse_unbuilt(recipe: Recipe, findings: Findings) -> None:
    """Notes one problem for each part of the recipe that is not built yet."""
    for key, what, built in _unbuilt(recipe):
        findings.add(key, f"{what} is not built yet", built, None if built else f"Leave {key} out.")


def _unbuilt(recipe: Recipe) -> Iterator[Unbuilt]:
    yield from _train(recipe.train)
    if recipe.run.engine == "ray":
        yield "run.engine", "the engine ray", "local"


def _train(train: Train | None) -> Iterator[Unbuilt]:
    if train is None:
        return
    if train.loss.kind not in BUILT_LOSSES:
        yield "train.loss.kind", f"the loss {train.loss.kind}", ", ".join(BUILT_LOSSES)
