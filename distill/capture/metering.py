"""Keeps a server that scores prompts within the run's cap and its own pace.

Scoring costs the prompt's tokens and the one that the server insists on writing.
"""

from dataclasses import dataclass
from typing import Any

from teachers.budget import Budget
from teachers.config import Price
from teachers.limits import Limits
from teachers.protocol import Usage

WRITTEN = 1
"""Tokens that a server writes behind a prompt that it scores."""


@dataclass(frozen=True, slots=True)
class Meter:
    """The account of one teacher; every row is reserved, then settled or given back."""

    teacher: str
    price: Price | None
    budget: Budget
    limits: Limits | None = None

    async def begin(self, key: str, tokens: int) -> Any:
        """The reservation of a row of so many tokens, when it may be sent.

        Raises: BudgetReached at the cap.
        """
        if self.limits is not None:
            await self.limits.admit(tokens, WRITTEN)
        return await self.budget.reserve(
            key=key,
            teacher=self.teacher,
            price=self.price,
            input_tokens=tokens,
            output_tokens=WRITTEN,
        )

    async def answered(self, call: Any, tokens: int) -> None:
        """The row was scored."""
        await self.budget.settle(call, Usage(tokens, WRITTEN))

    async def refused(self, call: Any) -> None:
        """The server did not score it."""
        await self.budget.refund(call)

    def lost(self, call: Any) -> None:
        """Nobody saw how it ended; it counts as paid."""
        self.budget.abandon(call, billed=True)
