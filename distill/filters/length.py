"""length: drops rows whose field is too short or too long."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.recipe.filtering import LengthFilter
from distill.rows.row import Row, Verdict


class Length:
    """Counts words, characters or tokens; both ends are allowed."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: LengthFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        self._tokenizer = context.tokenizer
        limits = {"words": spec.words, "characters": spec.characters, "tokens": spec.tokens}
        self._limits = {unit: limit for unit, limit in limits.items() if limit is not None}
        self._kept: dict[int, Verdict] = {}
        """By its score: few lengths, many rows."""
        if not self._limits:
            raise context.refuse(
                "length says no limit",
                allowed="words, characters, tokens",
                fix="Write words: [5, 150].",
            )
        for unit, (least, most) in self._limits.items():
            if least > most:
                raise context.refuse(f"{unit}: [{least}, {most}] allows no row")
        if spec.tokens is not None and context.tokenizer is None:
            raise context.refuse(
                "tokens are counted with the student's tokenizer, and there is none",
                fix="Name a student, or limit words or characters.",
            )

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with too_short or too_long; the score is the count that was compared."""
        return [self._verdict(text_of_value(row.fields[self.needs[0]])) for row in rows]

    def _verdict(self, text: str) -> Verdict:
        counts = {unit: self._count(text, unit) for unit in self._limits}
        for unit, (least, most) in self._limits.items():
            if not least <= counts[unit] <= most:
                reason = "too_short" if counts[unit] < least else "too_long"
                return Verdict("length", False, reason, counts[unit])
        score = next(iter(counts.values()))
        if score not in self._kept:
            self._kept[score] = Verdict("length", True, score=score)
        return self._kept[score]

    def _count(self, text: str, unit: str) -> int:
        if unit == "words":
            return len(text.split())
        if unit == "characters" or self._tokenizer is None:
            return len(text)
        return len(self._tokenizer.encode(text, add_special_tokens=False))
