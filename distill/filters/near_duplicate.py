"""near_duplicate: drops rows whose text is nearly that of a row kept before."""

from collections.abc import Awaitable, Sequence
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
        self._similarity = spec.similarity
        self._index = NearDuplicates(spec.similarity)
        self._elsewhere = context.elsewhere
        self._before: list[tuple[str, str]] = []
        """Kept elsewhere, and not yet in the index: most runs judge their rows at once."""

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict] | Awaitable[Sequence[Verdict]]:
        """Drops with the reason "near_duplicate"; the score is the similarity."""
        name = self.needs[0]
        texts = [(row.id, text_of_value(row.fields[name])) for row in best_first(rows)]
        many = self._elsewhere is not None and len(texts) >= self._elsewhere.texts
        if many and not (self._before or len(self._index)):
            return self._compared_elsewhere(rows, texts)
        self._index.extend(self._before)
        self._before = []
        found = {id: near and near[1] for id, near in self._index.add_if_new(texts)}
        return [_verdict(found[row.id]) for row in rows]

    async def _compared_elsewhere(
        self, rows: Sequence[Row], texts: Sequence[tuple[str, str]]
    ) -> Sequence[Verdict]:
        assert self._elsewhere is not None
        nearest = await self._elsewhere.distinct([text for _, text in texts], self._similarity)
        self._before = [pair for pair, near in zip(texts, nearest, strict=True) if near is None]
        found = {id: near for (id, _), near in zip(texts, nearest, strict=True)}
        return [_verdict(found[row.id]) for row in rows]


_KEPT = Verdict("near_duplicate", True)


def _verdict(near: float | None) -> Verdict:
    return _KEPT if near is None else Verdict("near_duplicate", False, "near_duplicate", near)
