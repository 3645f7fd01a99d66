"""near_duplicate: drops rows whose text is nearly that of a row kept before."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.measure.duplicates import NearDuplicates
from distill.recipe.filtering import NearDuplicateFilter
from distill.rows.row import Row, Verdict


class NearDuplicate:
    """Within a round the row with the higher earlier score stays, else the lower row id."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: NearDuplicateFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        self._index = NearDuplicates(spec.similarity)

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with the reason "near_duplicate"; the score is the similarity."""
        best_first = sorted(rows, key=lambda row: (-(row.score or 0.0), row.id))
        verdict = {row.id: self._verdict(row) for row in best_first}
        return [verdict[row.id] for row in rows]

    def _verdict(self, row: Row) -> Verdict:
        text = text_of_value(row.fields[self.needs[0]])
        found = self._index.find(row.id, text)
        if found:
            return Verdict("near_duplicate", False, "near_duplicate", found[1])
        self._index.add(row.id, text)
        return Verdict("near_duplicate", True)
