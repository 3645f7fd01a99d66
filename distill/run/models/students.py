"""Asks trained students: local models that answer through the same adapter as a teacher."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from distill.evaluate.answers import Answered
from distill.evaluate.asking import ask_task
from distill.recipe.prompts import TaskPrompt
from distill.recipe.training import Train
from distill.rows.encode import Encoded, encode
from teachers.chat_format import end_ids, prompt_ids
from teachers.config import LocalTeacher
from teachers.protocol import Message

if TYPE_CHECKING:
    from distill.evaluate.lm import RowFigures
    from teachers.local import LocalAdapter

ANSWER_TOKENS = 512
"""Most tokens of an answer where nothing says how long answers are."""
BATCH = 64


def student_adapter(folder: str, max_tokens: int = ANSWER_TOKENS) -> "LocalAdapter":
    """A student as something that can be asked: greedy, nothing stored."""
    from teachers.local import LocalAdapter

    config = LocalTeacher(
        kind="local", model=folder, temperature=0.0, max_tokens=max_tokens, concurrency=BATCH
    )
    return LocalAdapter(config, "student", source=folder)


async def ask_student(
    prompt: TaskPrompt, folder: str, records: Sequence[Mapping[str, Any]], max_tokens: int
) -> tuple[list[Answered], float]:
    """One answer per row, and the seconds that they took once the model was loaded."""
    adapter = student_adapter(folder, max_tokens)
    try:
        await ask_task(adapter, prompt, records[:1], max_tokens=1)
        started = time.monotonic()
        answers = await ask_task(
            adapter,
            prompt,
            records,
            max_tokens=max_tokens,
            in_flight=4 * BATCH,
            pattern=prompt.task.answer_pattern,
        )
        return answers, time.monotonic() - started
    finally:
        await adapter.close()


def read_tokens(
    folder: str,
    teacher: str | None,
    conversations: Sequence[tuple[Message, ...]],
    train: Train | None,
) -> "list[RowFigures]":
    """How well a student predicts the expected texts, beside its teacher where that is local."""
    from distill.evaluate.lm import token_figures
    from teachers.local_model import LocalModel

    student = LocalModel.load(folder, dtype="auto")
    reader = LocalModel.load(teacher) if teacher else None
    length = train.max_length if train else Train().max_length
    encoded = [
        encode_open(student.tokenizer, turns, student.chat, length) for turns in conversations
    ]
    figures = token_figures(student, reader, encoded)
    student.release()
    if reader is not None:
        reader.release()
    return figures


def read_texts(folder: str, texts: Sequence[str], train: Train | None) -> "list[RowFigures]":
    """How well a student predicts raw texts, each up to the longest row that it was trained on."""
    from distill.evaluate.lm import token_figures
    from teachers.local_model import LocalModel

    student = LocalModel.load(folder, dtype="auto")
    length = train.max_length if train else Train().max_length
    encoded = []
    for text in texts:
        ids = prompt_ids(student.tokenizer, [Message("user", text)], chat=False)[:length]
        encoded.append(Encoded(ids, [True] * len(ids), truncated=False))
    figures = token_figures(student, None, encoded)
    student.release()
    return figures


def encode_open(tokenizer: Any, turns: Sequence[Message], chat: bool, length: int) -> Encoded:
    """Ids and supervision of a held-out conversation; without a chat template it is not closed.

    Held-out texts may be cut anywhere, so an end token would be a claim that nobody made.
    """
    ends = end_ids(tokenizer)
    return encode(
        tokenizer, turns, chat=chat, end_id=ends[0] if ends else None, close=chat, max_length=length
    )
