"""label_noise: drops rows whose label is probably wrong (confident learning, extra `evaluate`)."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from distill.filters.filter import Context, text_of_value
from distill.measure.embeddings import Embedder
from distill.measure.label_noise import find_label_errors, why_not
from distill.recipe.filtering import LabelNoiseFilter
from distill.rows.row import Row, Verdict


class LabelNoise:
    """The model learns from the rows of this round and those kept before."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: LabelNoiseFilter, context: Context) -> None:
        self._field = spec.field or context.task.input
        self._label = spec.label or context.task.output
        self.needs: Sequence[str] = (self._field, self._label)
        self._min, self._seed = spec.min, context.seed
        self._embed = Embedder(context.model(spec.model)) if spec.model else None
        self._kept: dict[str, tuple[str, str]] = {}
        self._why: str | None = None

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with suspected; the score is the probability of the given label, 1 if trusted."""
        now = {
            row.id: (text_of_value(row.fields[self._field]), text_of_value(row.fields[self._label]))
            for row in rows
        }
        known = {**self._kept, **now}
        texts, labels = [text for text, _ in known.values()], [label for _, label in known.values()]
        vectors = self._embed(texts) if self._embed and not why_not(labels) else None
        errors, self._why = find_label_errors(
            list(known), texts, labels, seed=self._seed, vectors=vectors
        )
        score = {error.id: error.score for error in errors}
        found = []
        for row in rows:
            keep = score.get(row.id, 1.0) >= self._min
            if keep:
                self._kept[row.id] = now[row.id]
            reason = None if keep else "suspected"
            found.append(Verdict("label_noise", keep, reason, score.get(row.id, 1.0)))
        return found

    def facts(self) -> Mapping[str, Any]:
        """Says why nothing was looked at, where it was not."""
        return {"note": f"label_noise looked at no row: {self._why}"} if self._why else {}
