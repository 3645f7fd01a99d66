"""The rows under review: those of a run, or of any dataset file."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.errors import Problem, UsageError
from distill.review.cells import decode, escape
from distill.review.doubt import Doubtable
from distill.review.pack import Suggestion
from distill.review.schema import Field, Schema, field_of
from distill.rows.identity import ID_COLUMNS, row_ids
from distill.rows.readers import read_records
from distill.rows.row import digest

OUTPUTS = (
    "label", "labels", "category", "class", "intent", "output", "answer", "response", "completion",
    "target", "winner", "score", "summary", "translation",
)  # fmt: skip
"""Columns taken for the answer where nobody says which one it is, the first that is there."""

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """Rows under review, and how a corrected row is put together again."""

    name: str
    folder: Path
    """Where packs, log and merged versions lie."""
    rows: Mapping[str, Fields]
    """Row id -> fields that reviewers see, in the order of the dataset."""
    schema: Schema
    first: tuple[str, ...] = ()
    """Fields to show before the others."""
    blind: tuple[str, ...] | None = None
    """Fields that a blind pack shows; absent: all but the answers."""
    teacher: str | None = None
    """Who gave the answers."""
    verdicts: Mapping[str, Doubtable] | None = None
    thresholds: Mapping[str, float] | None = None
    seed: int = 0
    input: str | None = None
    """The field that the student reads, where one is."""

    @property
    def outputs(self) -> list[str]:
        """Fields that reviewers correct."""
        return [field.name for field in self.schema.fields]

    def hashes(self) -> dict[str, str]:
        """Row id -> content hash."""
        return {id: digest(dict(fields)) for id, fields in self.rows.items()}

    def doubtable(self) -> list[Doubtable]:
        """The rows as the search for doubts takes them."""
        known = self.verdicts or {}
        return [known.get(id) or Doubtable(id, fields) for id, fields in self.rows.items()]

    def suggestions(self, fields: Fields) -> dict[str, Suggestion]:
        """What the teacher gave, with the share of its votes."""
        return {
            name: Suggestion(fields[name], self.teacher, _share(fields, name))
            for name in self.outputs
            if name in fields
        }


def _share(fields: Fields, name: str) -> float | None:
    share = fields.get(f"{name}_p")
    return float(share) if isinstance(share, int | float) else None


@dataclass(frozen=True, slots=True)
class FileSource:
    """A dataset file: its rows for review, and its records as they are."""

    source: Source
    records: Mapping[str, Fields]
    """Row id -> the record of the file."""
    rebuild: Callable[[Fields, Fields], dict[str, Any]]
    """A record with edits of its reviewed fields put in."""


def file_source(
    path: Path,
    *,
    outputs: Sequence[str] = (),
    labels: Sequence[str] = (),
    rubric: str = "",
    seed: int = 0,
) -> FileSource:
    """A dataset file as rows under review; its reviews lie in FILE.review/.

    Args:
        path: Any file that `read_records` reads.
        outputs: The fields that reviewers correct; absent: guessed by name, else every field.
        labels: The only values that they may have.
        rubric: Shown beside the rows.
        seed: Of draws.

    Raises: DataError when the file cannot be read, UsageError for outputs that no row has.
    """
    records = read_records(path)
    ids = row_ids(records)
    id_column = _id_column(records, ids)
    named = dict(zip(ids, records, strict=True))
    view = _view(records)
    rows = {
        id: {name: value for name, value in view.show(record).items() if name != id_column}
        for id, record in named.items()
    }
    columns = list(dict.fromkeys(name for fields in rows.values() for name in fields))
    if odd := [name for name in outputs if name not in columns]:
        problem = Problem(
            f"no row has a field {odd[0]!r}", file=str(path), allowed=", ".join(columns)
        )
        raise UsageError(str(problem), [problem])
    guessed = [name for name in OUTPUTS if name in columns][:1]
    chosen = list(outputs) or list(view.outputs) or guessed or columns
    fields = [
        _field(name, [f[name] for f in rows.values() if f.get(name) is not None], labels)
        for name in chosen
    ]
    source = Source(
        name=path.name,
        folder=path.with_name(f"{path.name}.review"),
        rows=rows,
        schema=Schema(tuple(fields), rubric),
        first=tuple(name for name in columns if name not in chosen),
        seed=seed,
        input=next((name for name in ("text", "input", "prompt") if name in columns), None),
    )
    return FileSource(source, named, view.rebuild)


def _field(name: str, values: Sequence[Any], labels: Sequence[str]) -> Field:
    """The field of a column; labels are given as text, whatever the column holds."""
    text_only = all(isinstance(value, str) for value in values)
    allowed = [decode(escape(label), text_only=text_only) for label in labels]
    return field_of(name, values, allowed or None)


def _id_column(records: Sequence[Fields], ids: Sequence[str]) -> str | None:
    """The column that the ids were taken from, which need not be shown beside them."""
    for name in ID_COLUMNS:
        if all(
            str(record.get(name)).strip() == id for record, id in zip(records, ids, strict=True)
        ):
            return name
    return None


@dataclass(frozen=True, slots=True)
class _View:
    """How records of one shape are shown and put together again."""

    show: Callable[[Fields], Fields]
    rebuild: Callable[[Fields, Fields], dict[str, Any]]
    outputs: tuple[str, ...] = ()


def _view(records: Sequence[Fields]) -> _View:
    if all(_is_conversation(record.get("messages")) for record in records):
        return _View(_show_messages, _rebuild_messages, ("answer",))
    if all(
        _is_turns(record.get("prompt")) and _is_turns(record.get("chosen")) for record in records
    ):
        return _View(_show_preference, _rebuild_preference, ("chosen", "rejected"))
    return _View(lambda record: record, lambda record, edits: {**record, **edits})


def _is_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(
        isinstance(turn, dict) and isinstance(turn.get("content"), str) for turn in value
    )  # fmt: skip


def _is_conversation(value: Any) -> bool:
    return _is_turns(value) and value[-1].get("role") == "assistant"


def _show_messages(record: Fields) -> Fields:
    turns = record["messages"]
    return {"prompt": turns_text(turns[:-1]), "answer": turns[-1]["content"]}


def _rebuild_messages(record: Fields, edits: Fields) -> dict[str, Any]:
    made = json.loads(json.dumps(dict(record)))
    if "answer" in edits:
        before = made["messages"][-1]["content"]
        made["messages"][-1]["content"] = edits["answer"]
        fields = made.get("fields") or {}
        held = [name for name, value in fields.items() if value == before]
        if len(held) == 1:  # the field that the answer was made of
            fields[held[0]] = edits["answer"]
    return dict(made)


def _show_preference(record: Fields) -> Fields:
    return {
        "prompt": turns_text(record["prompt"]),
        "chosen": turns_text(record["chosen"]),
        "rejected": turns_text(record.get("rejected") or []),
    }


def _rebuild_preference(record: Fields, edits: Fields) -> dict[str, Any]:
    return {**record, **{
        name: [{"role": "assistant", "content": edits[name]}]
        for name in ("chosen", "rejected") if name in edits
    }}  # fmt: skip


def turns_text(turns: Sequence[Fields]) -> str:
    """Turns as text: one alone as it is, several with their roles."""
    if len(turns) == 1:
        return str(turns[0]["content"])
    return "\n\n".join(f"{turn.get('role', '?')}: {turn['content']}" for turn in turns)
