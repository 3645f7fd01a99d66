"""Sends only the supervised positions through a model's output layer.

Prompts are most of a row and their logits are never looked at. The cut happens in front of the
output layer's own forward, inside the model's, so sharded weights are gathered and reduced as usual
and whatever the architecture does to its logits afterwards still happens.
Shapes: B rows, T tokens, H hidden, N supervised tokens, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from distill.train.collate import IGNORED


class SupervisedHead:
    """Put on a model once; then asked for the logits that matter."""

    def __init__(self, model: Any) -> None:
        self._keep_BT: Tensor | None = None
        head = model.get_output_embeddings()
        head.register_forward_pre_hook(self._cut)

    def logits(self, model: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """Logits that predict the supervised tokens, in row order: (N, V) in float32.

        `model` is the one given, or a wrapper around it.
        """
        keep_BT = inputs["labels"][:, 1:] != IGNORED
        self._keep_BT = keep_BT
        try:
            logits: Tensor = model(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                use_cache=False,
            ).logits
        finally:
            self._keep_BT = None
        return (logits if logits.dim() == 2 else logits[:, :-1][keep_BT]).float()

    def _cut(self, head: Any, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._keep_BT is None or given[0].shape[:2] != _full(self._keep_BT):
            return None
        return (given[0][:, :-1][self._keep_BT], *given[1:])


def _full(keep_BT: Tensor) -> tuple[int, int]:
    """The shape before the shift by one."""
    return keep_BT.shape[0], keep_BT.shape[1] + 1
