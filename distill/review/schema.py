"""What reviewers are asked: fields to judge, their values, the rubric, tags.

Its hash is stored with every review: those made under another rubric are never mixed in silently.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from distill.rows.row import digest

DECISIONS = ("accept", "edit", "reject", "skip")
TAGS = (
    "wrong_answer", "wrong_format", "unclear_input", "missing_information", "not_realistic",
    "duplicate", "unsafe", "other",
)  # fmt: skip
CAUSES = (
    "ambiguous_text", "guideline_gap", "annotator_error", "edge_case", "subjective", "other",
)  # fmt: skip
"""Why reviewers disagreed: tags of adjudication."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that a reviewer may correct."""

    name: str
    values: tuple[Any, ...] = ()
    """What it may be, where that is a short list; keys 1 to 9 choose."""
    closed: bool = False
    """Nothing else is allowed."""
    text_only: bool = True
    """Holds nothing but text."""

    def match(self, value: Any) -> Any:
        """The allowed value that this one means, forgiving case and white space of text.

        Raises: ValueError when the field is closed and there is none.
        """
        if not self.values or value in [v for v in self.values if type(v) is type(value)]:
            return value
        told = _fold(value)
        near = [known for known in self.values if _fold(known) == told]
        if len(near) == 1:
            return near[0]
        if self.closed:
            allowed = ", ".join(str(known) for known in self.values)
            raise ValueError(f"{str(value)[:80]!r} is none of {allowed}")
        return value


@dataclass(frozen=True, slots=True)
class Schema:
    """All that a reviewer is asked of a row."""

    fields: tuple[Field, ...]
    rubric: str = ""
    tags: tuple[str, ...] = TAGS

    @property
    def hash(self) -> str:
        """Of fields, values, rubric and tags."""
        return digest(asdict(self))

    def field(self, name: str) -> Field | None:
        """The field of that name."""
        return next((field for field in self.fields if field.name == name), None)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for the pack's file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Schema":
        """What `as_dict` wrote."""
        fields = tuple(Field(**{**f, "values": tuple(f["values"])}) for f in data["fields"])
        return cls(fields, data["rubric"], tuple(data["tags"]))


def field_of(name: str, values: Sequence[Any], allowed: Sequence[Any] | None = None) -> Field:
    """The field for a column that holds these values; `allowed` closes it."""
    text_only = all(isinstance(value, str) for value in (*values, *(allowed or ())))
    if allowed:
        return Field(name, tuple(allowed), closed=True, text_only=text_only)
    return Field(name, _few(values), text_only=text_only)


MOST_CHOICES = 30
LONGEST_CHOICE = 60


def _few(values: Sequence[Any]) -> tuple[Any, ...]:
    """The different values of a column of labels, none for other columns."""
    seen: dict[str, Any] = {}
    for value in values:
        if not isinstance(value, str | int) or len(str(value)) > LONGEST_CHOICE:
            return ()
        seen.setdefault(f"{type(value).__name__}:{value}", value)
        if len(seen) > MOST_CHOICES:
            return ()
    if len(values) < 2 * len(seen):
        return ()
    return tuple(seen[key] for key in sorted(seen))


def _fold(value: Any) -> str:
    text = str(value).strip().casefold()
    return text[:-2] if text.endswith(".0") and text[:-2].lstrip("-").isdigit() else text
