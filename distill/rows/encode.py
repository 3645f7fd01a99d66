"""A conversation as token ids, with which of them are to be learnt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from distill.errors import DataError, Problem
from teachers.chat_format import completion_ids, prompt_ids, template_ids
from teachers.errors import ConfigError
from teachers.protocol import Message


@dataclass(frozen=True, slots=True)
class Encoded:
    """One row for the trainer."""

    ids: list[int]
    supervised: list[bool]
    """Token i is to be learnt: it belongs to the answer or ends it."""
    truncated: bool
    """The answer was cut at the length limit, so it has no end token."""


def encode(
    tokenizer: Any,
    messages: Sequence[Message],
    *,
    chat: bool,
    end_id: int | None,
    close: bool = True,
    every_turn: bool = False,
    max_length: int,
) -> Encoded:
    """The ids that asking would give, followed by the answer.

    Args:
        tokenizer: Of the student.
        messages: Turns, the last one the assistant's.
        chat: Use the tokenizer's chat template; else the raw prompt.
        end_id: The token that ends an answer.
        close: The answer is complete and ends with `end_id`; false for one that was cut off.
        every_turn: In a chat learn the assistant's earlier turns too, where the template writes
            them as it would write an answer; else the last one only.
        max_length: Longer rows lose the end of their answer, never the start of their prompt.

    Raises: DataError when the last turn is not the assistant's, or the chat template writes a
    finished conversation differently from the prompt it would ask with.
    """
    if not messages or messages[-1].role != "assistant":
        raise _error("the last turn is not the assistant's", "Give each row an answer.")
    try:
        prompt = prompt_ids(tokenizer, messages[:-1], chat)
        answer = _chat_answer(tokenizer, messages, prompt) if chat else None
    except ConfigError as exc:
        raise _error(str(exc), None) from exc
    if answer is None:
        answer = completion_ids(tokenizer, messages[-1].content)
    elif end_id in answer:
        # What a template writes behind the end (often a newline) is never generated.
        answer = answer[: len(answer) - answer[::-1].index(end_id) - 1]
    if close and end_id is not None:
        answer = [*answer, end_id]
    ids = [*prompt, *answer]
    supervised = [False] * len(prompt) + [True] * len(answer)
    if every_turn and chat:
        for turn in _earlier_answers(tokenizer, messages, prompt, end_id):
            supervised[turn.start : turn.stop] = [True] * len(turn)
    return Encoded(ids[:max_length], supervised[:max_length], len(ids) > max_length)


def _earlier_answers(
    tokenizer: Any, messages: Sequence[Message], prompt: list[int], end_id: int | None
) -> Iterator[range]:
    """Where the assistant's earlier turns stand in the prompt, each with its end token.

    Templates that write an earlier turn differently (without its reasoning, say) are followed: such
    a turn is no answer that the student would ever give, and is left out.
    """
    for at, turn in enumerate(messages[:-1]):
        if turn.role != "assistant" or at == 0:
            continue
        try:
            asked = prompt_ids(tokenizer, messages[:at], chat=True)
            told = template_ids(tokenizer, messages[: at + 1], generation_prompt=False)
        except ConfigError:
            continue
        if prompt[: len(asked)] != asked or prompt[: len(told)] != told or len(told) <= len(asked):
            continue
        answer = told[len(asked) :]
        if end_id in answer:
            answer = answer[: len(answer) - answer[::-1].index(end_id)]
        yield range(len(asked), len(asked) + len(answer))


def _chat_answer(tokenizer: Any, messages: Sequence[Message], prompt: list[int]) -> list[int]:
    full = template_ids(tokenizer, messages, generation_prompt=False)
    if full[: len(prompt)] != prompt:
        raise _error(
            "the chat template writes the prompt of a finished conversation differently",
            "Use `chat: false`, or a tokenizer whose template only adds the answer.",
        )
    return full[len(prompt) :]


def _error(found: str, fix: str | None) -> DataError:
    problem = Problem(found, fix=fix)
    return DataError(str(problem), [problem])
