"""novelty: drops rows too like one kept before, by ROUGE-L, as self-instruct does."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, best_first, text_of_value
from distill.measure.rouge import RougePool
from distill.recipe.filtering import NoveltyFilter
from distill.rows.row import Row, Verdict


class Novelty:
    """Within a round the row with the higher earlier score stays, else the lower row id."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: NoveltyFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        self._pool = RougePool(spec.max)

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with not_novel; the score is the largest ROUGE-L with a kept row."""
        verdict = {row.id: self._verdict(row) for row in best_first(rows)}
        return [verdict[row.id] for row in rows]

    def _verdict(self, row: Row) -> Verdict:
        text = text_of_value(row.fields[self.needs[0]])
        nearest = self._pool.nearest(text)
        if nearest is not None:
            return Verdict("novelty", False, "not_novel", nearest)
        self._pool.add(text)
        return Verdict("novelty", True)
