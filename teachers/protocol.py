"""The seam between everything that asks and everything that answers: Ask in, Answer out.

An adapter turns one Ask into one Answer or raises TeacherError; the gateway stands in front of each
adapter and adds the store, the budget, bounded concurrency and retries behind the same method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Finish = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a teacher. All of it, with the teacher's settings, decides the answer."""

    messages: tuple[Message, ...]
    sample: int = 0
    """Which of several independent answers to the same question (votes, repeated prompts)."""
    choices: tuple[str, ...] | None = None
    """The only answers allowed; the adapter returns one of them verbatim or fails as `parse`."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the answer; checked by the gateway whatever the server promised."""
    top_logprobs: int = 0
    """How many alternatives per written token to return; 0 asks for none."""
    max_tokens: int | None = None
    """Overrides the teacher's own limit for this ask."""
    allow_truncated: bool = False
    """Take an answer that stopped at the token limit. Not part of the store key."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one answer cost, as the server counted them (reasoning tokens are output)."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One written token, its log-probability and the best alternatives (nats, temperature 1)."""

    token: str
    logp: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a teacher answered."""

    text: str
    finish: Finish
    usage: Usage
    model: str
    """The model that the server says answered."""
    reasoning: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    choice_logp: Mapping[str, float] | None = None
    """With `choices` and token probabilities: normalised log-probability of every choice (nats)."""
    cost_usd: float | None = None
    """None where no price is known; 0.0 for an answer from the store."""
    stored: bool = False
    """True when the answer came from the store and cost nothing this time."""


class Teacher(Protocol):
    """Anything that can be asked. Adapters, the gateway and tests all have this one method."""

    @property
    def name(self) -> str:
        """The name that the recipe gives this teacher."""
        ...

    async def ask(self, ask: Ask) -> Answer:
        """Answer one question.

        Raises: TeacherError when this ask cannot be answered, BudgetReached at the cap.
        """
        ...

    async def close(self) -> None:
        """Give back connections, files and memory."""
        ...


def user(content: str, system: str | None = None) -> tuple[Message, ...]:
    """A one-turn conversation, with a system message in front where there is one."""
    turns: Sequence[Message] = [Message("user", content)]
    return (Message("system", system), *turns) if system else tuple(turns)
