"""not_in_gold: drops rows that hold a gold input, so that gold never reaches training."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, text_of_value
from distill.measure.duplicates import NGRAM, NearDuplicates, normalise, shares_shingle, shingles
from distill.measure.embeddings import Embedder, nearest_of
from distill.measure.ngrams import Containment, NgramIndex
from distill.recipe.filtering import NotInGoldFilter
from distill.rows.row import Row, Verdict


class NotInGold:
    """Compares with each gold input, cheapest first.

    exact: equal after normalising. ngram: a shared run of words. near: much of a long gold input
    in other words, or a short one nearly whole. semantic: the same meaning, with the extra.
    """

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
        self._runs = NgramIndex(spec.ngram)
        self._parts = Containment(spec.near) if spec.near else None
        self._alike = NearDuplicates(spec.similarity) if spec.similarity else None
        if self._alike is not None:
            self._alike.extend((f"gold {at}", text) for at, text in enumerate(texts))
        self._gold_parts: set[str] = set()
        self._short_runs = spec.ngram < NGRAM
        self._kept = Verdict("not_in_gold", True)
        for text in texts:
            self._gold_parts |= shingles(text)
            self._runs.add(text)
            if self._parts is not None:
                self._parts.add(text)
        self._cosine = spec.cosine
        self._embed = Embedder(context.model(spec.semantic)) if spec.semantic else None
        self._meanings = self._embed(texts) if self._embed else None

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with exact, ngram, near or semantic; the score is the likeness of the last two."""
        texts = [text_of_value(row.fields[self.needs[0]]) for row in rows]
        # What shares no three words with gold is neither near it nor holds a run of it.
        apart = [not shares_shingle(text, self._gold_parts) for text in texts]
        found = [
            self._kept if alone and not self._short_runs else self._verdict(text)
            for text, alone in zip(texts, apart, strict=True)
        ]
        if self._alike is not None:
            left = (
                (str(at), texts[at])
                for at, verdict in enumerate(found)
                if verdict.keep and not apart[at]
            )
            for place, alike in list(self._alike.look_up(left)):
                if alike:
                    score = max(likeness for _, likeness in alike)
                    found[int(place)] = Verdict("not_in_gold", False, "near", score)
        if self._embed is None or self._meanings is None:
            return found
        open_rows = [at for at, verdict in enumerate(found) if verdict.keep]
        cosines = nearest_of(self._embed([texts[at] for at in open_rows]), self._meanings)
        for at, cosine in zip(open_rows, cosines.tolist(), strict=True):
            keep = cosine < self._cosine
            found[at] = Verdict("not_in_gold", keep, None if keep else "semantic", cosine)
        return found

    def _verdict(self, text: str) -> Verdict:
        if normalise(text) in self._whole:
            return Verdict("not_in_gold", False, "exact")
        if self._runs.hit(text) is not None:
            return Verdict("not_in_gold", False, "ngram")
        share = self._parts.share(text) if self._parts else None
        if share is not None:
            return Verdict("not_in_gold", False, "near", share)
        return self._kept
