"""A finished row as the dataset holds it: a conversation, a preference, or plain text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from distill.errors import DataError, Problem
from distill.measure.duplicates import normalise
from distill.measure.ngrams import NgramIndex
from distill.recipe.filtering import NotInGoldFilter
from distill.recipe.prompts import TaskPrompt
from distill.recipe.schema import Recipe
from distill.rows.atomic import atomic_file
from distill.rows.corpus import read_corpus
from distill.rows.dataset import DatasetRow
from distill.rows.documents import ENDINGS
from distill.rows.readers import data_error, read_records
from distill.rows.row import Row, canonical_json
from distill.split.augment import with_copies
from teachers.protocol import Message

ROLES = ("system", "user", "assistant")


def dataset_row(objective: str, prompt: TaskPrompt, row: Row) -> DatasetRow:
    """What the student learns from a row by this objective.

    Raises: DataError when a field that the objective learns is missing or of the wrong kind.
    """
    fields = row.fields
    if objective == "clm":
        return DatasetRow(id=row.id, text=_text(row.id, fields))
    if objective == "dpo":
        chosen, rejected = (_turns(row.id, fields, side, "assistant") for side in _SIDES)
        asked = _asked(row.id, fields, prompt)
        return DatasetRow(id=row.id, prompt=asked, chosen=chosen, rejected=rejected, fields=fields)
    return DatasetRow(id=row.id, messages=prompt.conversation(fields), fields=fields)


def learnt_rows(recipe: Recipe, rows: Sequence[Row], prompt: TaskPrompt) -> list[Row]:
    """Training rows with the copies that the task asks for, where the student can be shown them."""
    augment = getattr(recipe.task, "augment", None)
    if augment is None:
        return list(rows)
    copies = with_copies(rows, augment, recipe.task.output, recipe.seed)
    return [
        row
        for row in copies
        if "copy_of" not in row.fields
        or (prompt.needs <= row.fields.keys() and prompt.completes(row.fields))
    ]


def texts_of(row: DatasetRow) -> Iterator[str]:
    """Everything that a row shows to the student."""
    if row.text is not None:
        yield row.text
    for turns in (row.messages, row.prompt, row.chosen, row.rejected):
        yield from (turn.content for turn in turns or ())


class GoldTexts:
    """Finds gold in other texts, whole or by a shared run of words."""

    def __init__(self, texts: Iterable[str]) -> None:
        given = [text for text in texts if text.strip()]
        self._whole = {normalise(text) for text in given}
        self._index = NgramIndex(NotInGoldFilter.model_fields["ngram"].default)
        for text in given:
            self._index.add(text)

    def hold(self, row: DatasetRow) -> bool:
        """Whether the row shows a gold input."""
        return any(
            normalise(text) in self._whole or self._index.hit(text) for text in texts_of(row)
        )


def write_blend(source: Path, prompt: TaskPrompt, gold: GoldTexts, target: Path) -> int:
    """Writes a file of other data, or a folder of documents, as rows that a training reads.

    Records are conversations (`messages`), raw text (`text`), or hold the task's input and output.
    Returns how many were left out because they hold gold.
    Raises: DataError when one is none of these, or nothing is left.
    """
    corpus = source.is_dir() or source.suffix.lower() in ENDINGS
    records = read_corpus(source) if corpus else read_records(source)
    rows = [
        _blended(f"{source.name}:{at + 1}", record, prompt) for at, record in enumerate(records)
    ]
    kept = [row for row in rows if not gold.hold(row)]
    if not kept:
        raise data_error(source, None, "every row holds gold", fix="Mix in other data.")
    with atomic_file(target) as file:
        file.writelines(canonical_json(row.as_dict()) + "\n" for row in kept)
    return len(rows) - len(kept)


def _blended(id: str, record: Mapping[str, Any], prompt: TaskPrompt) -> DatasetRow:
    if "messages" in record:
        return DatasetRow(id=id, messages=_turns(id, record, "messages", "assistant"))
    if prompt.task.output in record and prompt.task.output != "text":
        return DatasetRow(id=id, messages=prompt.conversation(record))
    return DatasetRow(id=id, text=_text(id, record))


_SIDES = ("chosen", "rejected")


def _asked(id: str, fields: Mapping[str, Any], prompt: TaskPrompt) -> tuple[Message, ...]:
    given = fields.get("prompt", fields.get(prompt.task.input))
    if isinstance(given, list):
        return _turns(id, {"prompt": given}, "prompt", "user")
    return prompt.ask_messages(fields)


def _text(id: str, fields: Mapping[str, Any]) -> str:
    value = fields.get("text")
    if not isinstance(value, str) or not value.strip():
        raise _wrong(id, "text", value, "a text")
    return value


def _turns(
    id: str, fields: Mapping[str, Any], name: str, role: Literal["user", "assistant"]
) -> tuple[Message, ...]:
    """A text as one turn of this role; a list of {role, content} as it is."""
    value = fields.get(name)
    if isinstance(value, str) and value.strip():
        return (Message(role, value),)
    if isinstance(value, list) and value and all(_is_turn(turn) for turn in value):
        return tuple(Message(turn["role"], turn["content"]) for turn in value)
    raise _wrong(id, name, value, "a text, or a list of {role, content}")


def _is_turn(turn: Any) -> bool:
    return (
        isinstance(turn, Mapping)
        and turn.get("role") in ROLES
        and isinstance(turn.get("content"), str)
    )


def _wrong(id: str, name: str, value: Any, allowed: str) -> DataError:
    shown = "missing" if value is None else f"not usable: {str(value)[:60]!r}"
    problem = Problem(
        found=f"row {id}: {name!r} is {shown}",
        key=name,
        allowed=allowed,
        fix="Mend the row, or drop it.",
    )
    return DataError(str(problem), [problem])
