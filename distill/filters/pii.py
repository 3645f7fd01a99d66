"""pii: drops rows with e-mail addresses, phone or card numbers or IP addresses, or masks them."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, Edited, Outcome, both_sides
from distill.measure.pii import find_pii, mask
from distill.recipe.filtering import PiiFilter
from distill.rows.row import Row, Verdict


class Pii:
    """Looks at text fields only; the score is how many pieces were found."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: PiiFilter, context: Context) -> None:
        self._fields: Sequence[str] = tuple(spec.fields or both_sides(context.task))
        self.needs: Sequence[str] = self._fields if spec.fields else ()
        self._kinds = tuple(spec.kinds)
        self._clean = Verdict("pii", True, score=0.0)
        self._mask = spec.action == "mask"

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Outcome]:
        """Drops with the kind found most often; with `mask` nothing is dropped."""
        return [self._verdict(row) for row in rows]

    def _verdict(self, row: Row) -> Outcome:
        found = {
            name: hits
            for name in self._fields
            if isinstance(text := row.fields.get(name), str)
            and (hits := find_pii(text, self._kinds))
        }
        if not found:
            return self._clean
        kinds = Counter(hit.kind for hits in found.values() for hit in hits)
        masked = {name: mask(row.fields[name], hits) for name, hits in found.items()}
        count = float(kinds.total())
        if self._mask:
            return Edited(Verdict("pii", True, score=count), masked)
        return Verdict("pii", False, kinds.most_common(1)[0][0], count)
