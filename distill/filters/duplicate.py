"""duplicate: drops rows whose normalised text was seen before."""

from collections.abc import Sequence
from hashlib import sha256
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.measure.duplicates import normalise
from distill.recipe.filtering import DuplicateFilter
from distill.rows.row import Row, Verdict


class Duplicate:
    """Keeps the first copy: earlier rounds first, then the lower row id."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: DuplicateFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        self._seen: set[bytes] = set()
        self._kept = Verdict("duplicate", True)

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with the reason "duplicate"."""
        return [self._verdict(text_of_value(row.fields[self.needs[0]])) for row in rows]

    def _verdict(self, text: str) -> Verdict:
        # 32 bytes per row whatever the length of the text.
        key = sha256(normalise(text).encode("utf-8", "surrogatepass")).digest()
        if key in self._seen:
            return Verdict("duplicate", False, "duplicate")
        self._seen.add(key)
        return self._kept
