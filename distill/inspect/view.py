"""A dataset seen through its mapping: per row an input, an output, a label, all its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distill.inspect.mapping import Columns
from distill.inspect.sources import Item
from distill.inspect.texts import is_turns, label_of, text_of, turns
from distill.measure.words import Words


@dataclass(frozen=True)
class View:
    """Parallel lists over the rows of a dataset."""

    items: Sequence[Item]
    columns: Columns
    missing: frozenset[str] = frozenset()
    """Texts that stand for a missing label."""
    inputs: list[str] = field(init=False)
    """What is asked; empty where there is none."""
    outputs: list[str] | None = field(init=False)
    """What is answered; None where the output is a label, or there is none."""
    labels: list[str | None] | None = field(init=False)

    def __post_init__(self) -> None:
        parts = [_parts(item.fields, self.columns) for item in self.items]
        object.__setattr__(self, "inputs", [asked for asked, _ in parts])
        answers = None
        if self.columns.shape not in ("classification", "text", "table") or not parts:
            answers = [answer for _, answer in parts]
        object.__setattr__(self, "outputs", answers)
        object.__setattr__(self, "labels", self._labels())

    def _labels(self) -> list[str | None] | None:
        name = self.columns.output
        if name is None or self.columns.shape not in ("classification", "preference", "table"):
            return None
        found = [label_of(item.fields.get(name)) for item in self.items]
        return [None if label in self.missing else label for label in found]

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def ids(self) -> list[str]:
        """The rows' ids."""
        return [item.id for item in self.items]

    @cached_property
    def splits(self) -> dict[str, list[int]]:
        """Split -> places of its rows."""
        found: dict[str, list[int]] = {}
        for at, item in enumerate(self.items):
            found.setdefault(item.split, []).append(at)
        return found

    @cached_property
    def contents(self) -> list[str]:
        """All text of each row: input and output; of classification the input."""
        if self.outputs is None:
            return self.inputs
        return [
            f"{asked}\n{answer}" if asked and answer else asked or answer
            for asked, answer in zip(self.inputs, self.outputs, strict=True)
        ]

    @cached_property
    def words(self) -> Words:
        """The inputs as words."""
        return Words(self.inputs)

    @cached_property
    def content_words(self) -> Words:
        """The contents as words."""
        return self.words if self.contents is self.inputs else Words(self.contents)

    @property
    def has_text(self) -> bool:
        """Whether any row has something to read."""
        return any(self.contents)


def _parts(fields: Mapping[str, Any], columns: Columns) -> tuple[str, str]:
    """What is asked and what is answered in one row."""
    if columns.messages:
        asked, answer = _talk(fields.get(columns.messages))
        if columns.input:
            asked = text_of(fields.get(columns.input))
        if columns.output:
            answer = text_of(fields.get(columns.output))
        return asked, answer
    names = [name for name in (columns.input, *columns.context) if name]
    asked = "\n".join(filter(None, (text_of(fields.get(name)) for name in names)))
    if columns.shape == "preference":
        pair = (text_of(fields.get(n)) for n in (columns.chosen, columns.rejected) if n)
        return asked, "\n".join(filter(None, pair))
    return asked, text_of(fields.get(columns.output)) if columns.output else ""


def _talk(value: Any) -> tuple[str, str]:
    """Everything up to the last answer of an assistant, and that answer."""
    if not is_turns(value):
        return text_of(value), ""
    said = turns(value)
    last = max((at for at, (role, _) in enumerate(said) if role == "assistant"), default=len(said))
    before = "\n".join(text for _, text in said[:last])
    return before, said[last][1] if last < len(said) else ""
