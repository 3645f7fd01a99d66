"""What is really asked: a teacher's settings and one ask, joined. Adapters and keys share it."""

from collections.abc import Sequence

from teachers.config import TeacherConfig
from teachers.protocol import Ask, Message

# Room for what a server's chat template adds: role markers, a default system prompt, a date line.
TOKENS_PER_ASK = 64
TOKENS_PER_MESSAGE = 16


def messages(config: TeacherConfig, ask: Ask) -> tuple[Message, ...]:
    """The turns to send, the teacher's system message first (joined with the ask's own)."""
    if not config.system:
        return ask.messages
    turns = ask.messages
    system = config.system
    if turns and turns[0].role == "system":
        system = f"{system}\n\n{turns[0].content}"
        turns = turns[1:]
    return (Message("system", system), *turns)


def prompt(config: TeacherConfig, ask: Ask) -> str:
    """The same turns as the one text that a raw completion continues."""
    return "\n\n".join(turn.content for turn in messages(config, ask))


def max_tokens(config: TeacherConfig, ask: Ask) -> int:
    """Most tokens of this answer."""
    return ask.max_tokens or config.max_tokens


def top_logprobs(config: TeacherConfig, ask: Ask) -> int:
    """Alternatives per written token, the larger of what the ask and the teacher's settings say."""
    return max(ask.top_logprobs, config.logprobs)


def text_bound(turns: Sequence[Message]) -> int:
    """An upper bound on the tokens of some messages: a tokenizer makes at most one of a byte."""
    return sum(_bytes(turn.content) for turn in turns) + TOKENS_PER_MESSAGE * len(turns)


def input_bound(config: TeacherConfig, ask: Ask) -> int:
    """An upper bound on the input tokens."""
    schema = 0 if ask.schema is None else TOKENS_PER_ASK + len(repr(ask.schema).encode())
    return text_bound(messages(config, ask)) + schema + TOKENS_PER_ASK


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
