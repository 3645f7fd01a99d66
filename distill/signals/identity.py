"""Whose signals a cache holds, and the key of a row in it: content only, never order or place."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from distill.errors import Problem, RecipeError
from distill.signals.settings import CaptureSettings
from distill.signals.types import SignalRow

KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """What decides every signal of a cache besides the rows."""

    teacher: str
    """For people: a folder, a hub id, a server's model."""
    teacher_fingerprint: str
    tokenizer_fingerprint: str
    """Of the student: its ids are those of the cache."""
    vocabulary: int
    """Columns that stand for real tokens; a teacher's padding is left out."""
    settings: CaptureSettings

    def scope(self) -> bytes:
        """The digest that every key starts from; the teacher's name is not in it."""
        content = {name: value for name, value in self.as_dict().items() if name != "teacher"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()

    def key(self, row: SignalRow) -> bytes:
        """The 128-bit key of a row: its ids and which of them are supervised."""
        found = hashlib.sha256(self.scope())
        for array in (row.ids_T, row.positions_N):
            # The length in front: ids must not be readable as positions.
            found.update(len(array).to_bytes(8, "little"))
            found.update(np.ascontiguousarray(array, "<i4").tobytes())
        return found.digest()[:KEY_BYTES]

    def as_dict(self) -> dict[str, Any]:
        """The identity as plain data."""
        return {
            "teacher": self.teacher,
            "teacher_fingerprint": self.teacher_fingerprint,
            "tokenizer_fingerprint": self.tokenizer_fingerprint,
            "vocabulary": self.vocabulary,
            "settings": self.settings.as_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Identity":
        """The identity of its plain data."""
        return cls(**{**data, "settings": CaptureSettings.from_dict(data["settings"])})

    def need_equal(self, other: "Identity", folder: str) -> None:
        """Nothing, where the other one asks for the signals that this one's cache holds.

        Raises: RecipeError naming what differs.
        """
        if self.scope() == other.scope():
            return
        ours, theirs = _flat(self.as_dict()), _flat(other.as_dict())
        problems = [
            Problem(
                file=folder,
                key=name,
                found=f"the cache was made with {ours[name]}, now it is {theirs[name]}",
                fix="Take another folder for these signals, or go back to what made the cache.",
            )
            for name in ours
            if name != "teacher" and ours[name] != theirs[name]
        ]
        raise RecipeError("the signal cache was made from something else", problems)


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    settings = {f"settings.{name}": value for name, value in data["settings"].items()}
    return {name: value for name, value in data.items() if name != "settings"} | settings
