"""A dataset file to encoded rows, each with at least one token to learn.

Rows are conversations, preferences (prompt, chosen, rejected) or plain text, which is cut into
windows of `max_length` tokens and learnt whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from distill.errors import DataError, Problem
from distill.rows.encode import Encoded, encode
from distill.rows.readers import read_numbered
from distill.train.collate import IGNORED, EncodedPair, EncodedRow, Item
from teachers.protocol import Message


@dataclass(frozen=True, slots=True)
class RowFormat:
    """How rows become tokens."""

    tokenizer: Any
    chat: bool
    end_id: int | None
    output: str
    max_length: int


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """The rows of one file."""

    rows: Sequence[Any]
    """Of one kind: EncodedRow, or EncodedPair."""
    truncated: int
    """Rows cut at `max_length`."""


def encode_file(
    path: Path, form: RowFormat, *, first_key: int = 0, text_only: bool = False
) -> EncodedRows:
    """The encoded rows of a dataset's JSONL file, in file order, numbered from `first_key`.

    `text_only` marks rows that no signal speaks of.
    Raises: DataError when the file cannot be read, or naming the row that holds nothing to learn.
    """
    rows: list[Item] = []
    truncated = 0
    for number, record in read_numbered(path):
        key = first_key + len(rows)
        if "text" in record:
            found: Sequence[Item] = _windows(record, form, key, text_only)
        elif "chosen" in record:
            pair, cut = _pair(record, form, key)
            found, truncated = [pair], truncated + cut
        else:
            messages = _messages(record["messages"])
            encoded = _encode(record, messages, form, every_turn=True)
            truncated += encoded.truncated
            found = [_row(record["id"], key, encoded, text_only)]
        if not found or any(_teaches_nothing(one) for one in found):
            raise _nothing_to_learn(path, number, record["id"], form.max_length)
        rows += found
    return EncodedRows(rows, truncated)


def _teaches_nothing(item: Item) -> bool:
    parts = (item.chosen, item.rejected) if isinstance(item, EncodedPair) else (item,)
    return any(part.supervised == 0 for part in parts)


def _row(id: str, key: int, found: Encoded, text_only: bool = False) -> EncodedRow:
    # The first token has nothing before it that could predict it.
    pairs = zip(found.ids, [False, *found.supervised[1:]], strict=True)
    labels = [token if learn else IGNORED for token, learn in pairs]
    return EncodedRow(id, key, torch.tensor(found.ids), torch.tensor(labels), text_only)


def _windows(
    record: Mapping[str, Any], form: RowFormat, key: int, text_only: bool
) -> list[EncodedRow]:
    """A text as windows of at most `max_length` tokens, begun and ended as the tokenizer does.

    Nothing is cut off; a last window of one token, which nothing could predict, is left out.
    """
    ids = list(form.tokenizer(record["text"], add_special_tokens=False)["input_ids"])
    begin = form.tokenizer.bos_token_id
    ids = [*([] if begin is None else [begin]), *ids]
    ids += [] if form.end_id is None else [form.end_id]
    size = form.max_length
    windows = [ids[at : at + size] for at in range(0, len(ids), size)]
    return [
        _row(f"{record['id']}#{at}", key + at, _whole(window), text_only)
        for at, window in enumerate(windows)
        if len(window) > 1
    ]


def _whole(ids: list[int]) -> Encoded:
    return Encoded(ids, [True] * len(ids), truncated=False)


def _pair(record: Mapping[str, Any], form: RowFormat, key: int) -> tuple[EncodedPair, int]:
    """Both answers behind their prompt, and whether one of them was cut."""
    prompt = _messages(record["prompt"])
    sides = [
        _encode(record, [*prompt, *_messages(record[side])], form)
        for side in ("chosen", "rejected")
    ]
    chosen, rejected = (_row(record["id"], key, side) for side in sides)
    cut = int(any(side.truncated for side in sides))
    return EncodedPair(record["id"], key, chosen, rejected), cut


def _messages(turns: Sequence[Mapping[str, Any]]) -> list[Message]:
    return [Message(turn["role"], turn["content"]) for turn in turns]


def _encode(
    record: Mapping[str, Any],
    messages: Sequence[Message],
    form: RowFormat,
    *,
    every_turn: bool = False,
) -> Encoded:
    return encode(
        form.tokenizer,
        messages,
        chat=form.chat,
        end_id=form.end_id,
        # The teacher was stopped in mid-text: the student must not learn to end there.
        close=record.get("fields", {}).get(f"{form.output}_finish") != "length",
        every_turn=every_turn,
        max_length=form.max_length,
    )


def _nothing_to_learn(path: Path, line: int | None, row: str, max_length: int) -> DataError:
    problem = Problem(
        file=str(path),
        line=line,
        key=row,
        found=f"row {row} holds no token to learn within train.max_length = {max_length}",
        fix="Raise train.max_length, or drop rows with long prompts or empty answers.",
    )
    return DataError(f"row {row} holds nothing to learn", [problem])
