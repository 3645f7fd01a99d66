"""semantic_duplicate: drops rows that mean what a row kept before means (extra `semantic`)."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, best_first, text_of_value
from distill.measure.embeddings import Embedder, VectorIndex
from distill.recipe.filtering import SemanticDuplicateFilter
from distill.rows.row import Row, Verdict


class SemanticDuplicate:
    """Within a round the row with the higher earlier score stays, else the lower row id."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: SemanticDuplicateFilter, context: Context) -> None:
        self.needs: Sequence[str] = (spec.field or context.task.input,)
        self._embed = Embedder(context.model(spec.model))
        self._index = VectorIndex()
        self._similarity = spec.similarity

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with semantic_duplicate; the score is the largest cosine with a kept row."""
        ordered = best_first(rows)
        vectors = self._embed([text_of_value(row.fields[self.needs[0]]) for row in ordered])
        verdict = {}
        for row, vector in zip(ordered, vectors, strict=True):
            # A text without a known word has no meaning to compare.
            nearest = self._index.nearest(vector) if vector.any() else -1.0
            keep = nearest < self._similarity
            if keep and vector.any():
                self._index.add(vector)
            reason = None if keep else "semantic_duplicate"
            verdict[row.id] = Verdict("semantic_duplicate", keep, reason, max(nearest, -1.0))
        return [verdict[row.id] for row in rows]
