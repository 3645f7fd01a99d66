"""consistent: drops rows whose label contradicts that of the same or nearly the same input."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.measure.duplicates import NearDuplicates, normalise
from distill.recipe.filtering import ConsistentFilter
from distill.rows.row import Row, Verdict


class Consistent:
    """Each label needs more than `min` of the like inputs, of this round and those before."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: ConsistentFilter, context: Context) -> None:
        self._field = spec.field or context.task.input
        self._label = spec.label or context.task.output
        self.needs: Sequence[str] = (self._field, self._label)
        self._index = NearDuplicates(spec.similarity)
        self._labels: dict[str, Counter[str]] = {}
        """Normalised input -> its labels."""
        self._min = spec.min

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with contradiction; the score is the share of the like inputs with this label."""
        plain = {row.id: normalise(text_of_value(row.fields[self._field])) for row in rows}
        label = {row.id: text_of_value(row.fields[self._label]) for row in rows}
        texts = list(dict.fromkeys(plain.values()))
        self._index.extend((text, text) for text in texts if text not in self._labels)
        for row in rows:
            self._labels.setdefault(plain[row.id], Counter())[label[row.id]] += 1
        near: dict[str, Counter[str]] = {}
        for text, alike in self._index.look_up((text, text) for text in texts):
            near[text] = self._labels[text].copy()
            for other, _ in alike:
                near[text].update(self._labels[other])
        return [self._verdict(near[plain[row.id]], label[row.id]) for row in rows]

    def _verdict(self, like: Counter[str], label: str) -> Verdict:
        share = like[label] / like.total()
        keep = share > self._min or len(like) == 1
        return Verdict("consistent", keep, None if keep else "contradiction", share)
