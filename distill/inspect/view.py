"""A dataset seen through its mapping: per row an input, an output, a label, all its text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from distill.inspect.mapping import Columns, is_label_column
from distill.inspect.sources import Item
from distill.inspect.texts import is_turns, label_of, text_of, turns
from distill.measure.words import Words

ASSISTANT = "\n\nAssistant:"
"""What stands before each answer in a conversation written as one text (Bai et al. 2022,
arXiv:2204.05862, hh-rlhf)."""

FEW, SHORT = 0.1, 5
"""Largest share of different answers, and most words of one, that make the answers of a
conversation labels."""

SHARED = 0.7
"""Largest share of different contexts of those that several rows share."""


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
    answers: tuple[list[str], ...] = field(init=False)
    """The outputs one by one: of a preference both sides; none where `outputs` is None."""
    labels: list[str | None] | None = field(init=False)

    def __post_init__(self) -> None:
        parts = [_parts(item.fields, self.columns) for item in self.items]
        object.__setattr__(self, "inputs", [asked for asked, _ in parts])
        answers: tuple[list[str], ...] = ()
        if self.columns.shape not in ("classification", "text", "table"):
            answers = tuple(list(side) for side in zip(*(said for _, said in parts), strict=True))
        object.__setattr__(self, "answers", answers)
        outputs = answers[0] if len(answers) == 1 else None
        if len(answers) > 1:
            outputs = ["\n".join(filter(None, said)) for _, said in parts]
        object.__setattr__(self, "outputs", outputs)
        object.__setattr__(self, "labels", self._labels())

    def _labels(self) -> list[str | None] | None:
        name = self.columns.output
        if self.columns.shape == "chat" and name is None and self.answers:
            said = self.answers[0]
            short = all(text.count(" ") < SHORT for text in said)
            return [*map(label_of, said)] if short and is_label_column(said, FEW) else None
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
    def own_contents(self) -> list[str]:
        """The contents without contexts that rows share: questions on one text are no copies."""
        names = self.columns.context
        contexts = [tuple(text_of(item.fields.get(n)) for n in names) for item in self.items]
        some = [context for context in contexts if any(context)]
        if not self.columns.input or len(set(some)) > SHARED * len(some):
            return self.contents
        asked = [text_of(item.fields.get(self.columns.input)) for item in self.items]
        outputs = self.outputs or [""] * len(asked)
        return ["\n".join(filter(None, pair)) for pair in zip(asked, outputs, strict=True)]

    @cached_property
    def words(self) -> Words:
        """The inputs as words."""
        return Words(self.inputs)

    @cached_property
    def content_words(self) -> Words:
        """The contents as words."""
        return self.words if self.contents is self.inputs else Words(self.contents)

    @cached_property
    def own_words(self) -> Words:
        """The own contents as words."""
        same = self.own_contents is self.contents
        return self.content_words if same else Words(self.own_contents)

    @property
    def has_text(self) -> bool:
        """Whether any row has something to read."""
        return any(self.contents)


def _parts(fields: Mapping[str, Any], columns: Columns) -> tuple[str, tuple[str, ...]]:
    """What is asked in one row, and what is answered: both answers of a preference."""
    names = [name for name in (columns.input, *columns.context) if name]
    asked = "\n".join(filter(None, (text_of(fields.get(name)) for name in names)))
    if columns.messages:
        before, answer = _talk(fields.get(columns.messages))
        if columns.output:
            answer = text_of(fields.get(columns.output))
        return asked if columns.input else before, (answer,)
    if columns.shape == "preference":
        pair = [fields.get(n) for n in (columns.chosen, columns.rejected) if n]
        talks = [_said(value) for value in pair]
        if not columns.input:
            asked = talks[0][0]
        return asked, tuple(answer for _, answer in talks)
    return asked, (text_of(fields.get(columns.output)) if columns.output else "",)


def _said(value: Any) -> tuple[str, str]:
    """What stands before an answer of a preference, and the answer: a value may hold both."""
    if is_turns(value):
        return _talk(value)
    text = text_of(value)
    before, mark, answer = text.rpartition(ASSISTANT)
    return (before.strip(), answer.strip()) if mark else ("", text)


def _talk(value: Any) -> tuple[str, str]:
    """Everything up to the last answer of an assistant, and that answer."""
    if not is_turns(value):
        return text_of(value), ""
    said = turns(value)
    last = max((at for at, (role, _) in enumerate(said) if role == "assistant"), default=len(said))
    before = "\n".join(text for _, text in said[:last])
    return before, said[last][1] if last < len(said) else ""
