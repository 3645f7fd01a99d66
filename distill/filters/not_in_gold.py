"""not_in_gold: drops rows that hold a gold input, so that gold never reaches training."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.measure.duplicates import normalise
from distill.measure.ngrams import NgramIndex
from distill.recipe.filtering import NotInGoldFilter
from distill.rows.row import Row, Verdict


class NotInGold:
    """Compares with the gold input exactly after normalising, then by shared runs of words."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: NotInGoldFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        name = context.task.input
        texts = [text_of_value(row[name]) for row in context.gold if row.get(name) is not None]
        if not texts:
            raise context.refuse(
                f"not_in_gold has no gold rows with the field {name!r} to compare with",
                fix="Set data.gold to a file with that column, or leave the filter out.",
            )
        self._whole = {normalise(text) for text in texts}
        self._index = NgramIndex(spec.ngram)
        for text in texts:
            self._index.add(text)

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with exact or ngram."""
        return [self._verdict(text_of_value(row.fields[self.needs[0]])) for row in rows]

    def _verdict(self, text: str) -> Verdict:
        if normalise(text) in self._whole:
            return Verdict("not_in_gold", False, "exact")
        if self._index.hit(text) is not None:
            return Verdict("not_in_gold", False, "ngram")
        return Verdict("not_in_gold", True)
