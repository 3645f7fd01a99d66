"""A teacher that is only asked what each written token is worth: a server that scores prompts."""

from collections.abc import Sequence
from typing import Any, Protocol

from distill.signals.types import SignalRow, TokenLogp


class TokenScorer(Protocol):
    """Asked during the training, about texts that nobody knew before."""

    def token_logp(self, rows: Sequence[SignalRow], tokenizer: Any) -> list[TokenLogp]:
        """The log-probability of each supervised token, row by row.

        `tokenizer` is the student's, whose ids the rows hold.
        Raises: RecipeError, RunError, BudgetReached.
        """
        ...
