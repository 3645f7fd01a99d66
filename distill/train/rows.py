"""A dataset file to encoded rows, each with at least one token to learn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from distill.errors import DataError, Problem
from distill.rows.encode import Encoded, encode
from distill.rows.readers import read_numbered
from distill.train.collate import IGNORED, EncodedRow
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

    rows: Sequence[EncodedRow]
    truncated: int
    """Rows cut at `max_length`."""


def encode_file(path: Path, form: RowFormat, *, first_key: int = 0) -> EncodedRows:
    """The encoded rows of a dataset's JSONL file, in file order, numbered from `first_key`.

    Raises: DataError when the file cannot be read, or naming the row that holds nothing to learn.
    """
    rows: list[EncodedRow] = []
    truncated = 0
    for number, record in read_numbered(path):
        found = _encode(record, form)
        truncated += found.truncated
        # The first token has nothing before it that could predict it.
        pairs = zip(found.ids, [False, *found.supervised[1:]], strict=True)
        labels = [token if learn else IGNORED for token, learn in pairs]
        key = first_key + len(rows)
        row = EncodedRow(record["id"], key, torch.tensor(found.ids), torch.tensor(labels))
        if row.supervised == 0:
            raise _nothing_to_learn(path, number, record["id"], form.max_length)
        rows.append(row)
    return EncodedRows(rows, truncated)


def _encode(record: Mapping[str, Any], form: RowFormat) -> Encoded:
    messages = [Message(turn["role"], turn["content"]) for turn in record["messages"]]
    return encode(
        form.tokenizer,
        messages,
        chat=form.chat,
        end_id=form.end_id,
        # The teacher was stopped in mid-text: the student must not learn to end there.
        close=record.get("fields", {}).get(f"{form.output}_finish") != "length",
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
