"""near_duplicate: drops rows whose text is nearly that of a row kept before."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, best_first, text_of_value
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
        name = self.needs[0]
        texts = ((row.id, text_of_value(row.fields[name])) for row in best_first(rows))
        kept = Verdict("near_duplicate", True)
        verdict = {
            id: Verdict("near_duplicate", False, "near_duplicate", found[1]) if found else kept
            for id, found in self._index.add_if_new(texts)
        }
        return [verdict[row.id] for row in rows]
