"""What a teacher gives that knows every token: hidden states and the head behind them.

Position t of a signal predicts token t + 1; the shift happens once, in the trainer.
"""

from typing import Any, Protocol

from torch import Tensor


class TokenTeacher(Protocol):
    """A model beside the student in the training process; `teachers.local_model` has one."""

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        ...

    def hidden(self, input_ids_BT: Tensor, attention_mask_BT: Tensor) -> Tensor:
        """The hidden states that go into the head: (B, T, H)."""
        ...

    def project(self, hidden_NH: Tensor) -> Tensor:
        """The logits of selected hidden states: (N, V)."""
        ...

    def release(self) -> None:
        """Give the memory back."""
        ...
