"""Turns to token ids and back, the same way wherever a model is asked, scored or trained.

Without a chat template the turns are joined by blank lines after the tokenizer's bos token, and an
answer ends with the first end token. `completion_ids` and `completion_text` treat a text as the
continuation of another one: SentencePiece-style tokenizers put a space in front of every text that
they encode alone and take one away from every text that they decode alone.
"""

from collections.abc import Sequence
from typing import Any

from teachers.errors import ConfigError
from teachers.protocol import Message

TURN_BREAK = "\n\n"
_ANCHORS = ("\n", "=", ".")
_PROBE = Message("user", "x")


def has_chat_template(tokenizer: Any) -> bool:
    """Whether the tokenizer knows how to write turns."""
    return bool(getattr(tokenizer, "chat_template", None))


def prompt_ids(tokenizer: Any, messages: Sequence[Message], chat: bool) -> list[int]:
    """The ids after which a model writes its answer."""
    if chat:
        return template_ids(tokenizer, messages, generation_prompt=True)
    ids = _plain(tokenizer, TURN_BREAK.join(turn.content for turn in messages))
    bos = tokenizer.bos_token_id
    return ids if bos is None else [bos, *ids]


def template_ids(
    tokenizer: Any, messages: Sequence[Message], *, generation_prompt: bool
) -> list[int]:
    """The ids of the turns in the tokenizer's chat template.

    Raises: ConfigError when the template refuses the turns.
    """
    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    try:
        ids = tokenizer.apply_chat_template(
            turns, tokenize=True, add_generation_prompt=generation_prompt, return_dict=False
        )
    except Exception as exc:  # jinja2 raises many kinds, and templates raise their own
        roles = ", ".join(turn.role for turn in messages)
        raise ConfigError(
            f"the tokenizer's chat template refuses the turns ({roles}): {exc}; "
            "use `chat: false`, leave the system message out, or take another tokenizer"
        ) from exc
    return [int(i) for i in ids]


def answer_ids(tokenizer: Any, text: str, *, chat: bool, ends: Sequence[int]) -> list[int]:
    """The ids that a model writes to give this answer, with the end of its turn in a chat."""
    if not chat:
        return completion_ids(tokenizer, text)
    prompt = template_ids(tokenizer, [_PROBE], generation_prompt=True)
    full = template_ids(tokenizer, [_PROBE, Message("assistant", text)], generation_prompt=False)
    if full[: len(prompt)] != prompt:
        return [*completion_ids(tokenizer, text), *ends[:1]]
    written = full[len(prompt) :]
    stop = next((at + 1 for at, token in enumerate(written) if token in ends), len(written))
    return written[:stop]


def completion_ids(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text that goes on from another one; no special tokens."""
    if not _adds_space(tokenizer):
        return _plain(tokenizer, text)
    for anchor in _ANCHORS:
        head, whole = _plain(tokenizer, anchor), _plain(tokenizer, anchor + text)
        if whole[: len(head)] == head:
            return whole[len(head) :]
    return _plain(tokenizer, text)


def completion_text(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of ids that go on from other ones, its leading space kept."""
    head = _plain(tokenizer, _ANCHORS[0])
    before, whole = _decode(tokenizer, head), _decode(tokenizer, [*head, *ids])
    return whole[len(before) :]


def end_ids(tokenizer: Any, generation_config: Any = None) -> tuple[int, ...]:
    """The ids that end an answer: the model's own first, then the tokenizer's."""
    given = getattr(generation_config, "eos_token_id", None)
    listed = [] if given is None else list(given) if isinstance(given, list | tuple) else [given]
    own = tokenizer.eos_token_id
    return tuple(dict.fromkeys(listed + ([] if own is None else [own])))


def closing_id(tokenizer: Any, *, chat: bool, ends: Sequence[int]) -> int | None:
    """The id that ends a complete answer: what the chat template writes, else the first end id."""
    written = answer_ids(tokenizer, "x", chat=chat, ends=ends)[-1:]
    return written[0] if written and written[0] in ends else next(iter(ends), None)


def _adds_space(tokenizer: Any) -> bool:
    head, letter = _plain(tokenizer, _ANCHORS[0]), _plain(tokenizer, "a")
    return _plain(tokenizer, _ANCHORS[0] + "a")[len(head) :] != letter


def _plain(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _decode(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(
        list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return text
