"""regex: drops rows whose field lacks a pattern, or holds a forbidden one."""

import re
from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.recipe.filtering import RegexFilter
from distill.rows.row import Row, Verdict


class Regex:
    """Searches (does not anchor) the patterns."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: RegexFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        if spec.match is None and spec.forbid is None:
            raise context.refuse("regex has no pattern", allowed="match, forbid")
        self._kept = Verdict("regex", True)
        self._match = _compile(spec.match, "match", context)
        self._forbid = _compile(spec.forbid, "forbid", context)

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with no_match or forbidden."""
        return [self._verdict(text_of_value(row.fields[self.needs[0]])) for row in rows]

    def _verdict(self, text: str) -> Verdict:
        if self._match and not self._match.search(text):
            return Verdict("regex", False, "no_match")
        if self._forbid and self._forbid.search(text):
            return Verdict("regex", False, "forbidden")
        return self._kept


def _compile(pattern: str | None, name: str, context: Context) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern is not None else None
    except re.error as error:
        raise context.refuse(f"{name}: {pattern!r} is not a regular expression: {error}") from error
