"""quality: drops rows that a small model, taught by rows that people approved, finds bad."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from distill.errors import DataError, Problem
from distill.filters.filter import Context, both_sides, text_of_fields, text_of_value
from distill.measure.approval import Approval, approval
from distill.measure.embeddings import Embedder
from distill.recipe.filtering import QualityFilter
from distill.rows.readers import read_records
from distill.rows.row import Row, Verdict

APPROVING = {"accept": True, "edit": True, "approved": True, "reject": False, "rejected": False}
"""What a `decision` means; any other (a skip) says nothing."""


class Quality:
    """Rows that people decided on keep that decision; the model decides on the rest."""

    quality: ClassVar[bool] = True

    def __init__(self, spec: QualityFilter, context: Context) -> None:
        self.needs: Sequence[str] = tuple(spec.fields or both_sides(context.task))
        self._min, self._seed = spec.min, context.seed
        self._embed = Embedder(context.model(spec.model)) if spec.model else None
        self._decided = dict(context.approved)
        self._known: dict[str, tuple[str, bool]] = {}
        if spec.file:
            path = context.path(spec.file)
            records = read_records(path)
            self._known = dict(self._of_file(str(path), records))
        self._file = bool(spec.file)
        self._facts: dict[str, Any] = {}

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with low_quality, or rejected_by_people; the score is the model's probability."""
        texts = {row.id: text_of_fields(row, self.needs) for row in rows}
        for id in texts.keys() & self._decided.keys():
            self._known[id] = (texts[id], self._decided[id])
        open_rows = [row for row in rows if row.id not in self._decided]
        known = list(self._known.values())
        found = approval(
            [text for text, _ in known],
            [yes for _, yes in known],
            [texts[row.id] for row in open_rows],
            least=self._min,
            seed=self._seed,
            embed=self._embed,
        )
        if isinstance(found, str):
            return self._without(rows, found)
        self._facts = _facts(found)
        scores = dict(zip((row.id for row in open_rows), found.scores, strict=True))
        return [self._verdict(row, scores) for row in rows]

    def facts(self) -> Mapping[str, Any]:
        """How good the model is on held-out rows, or why there is none."""
        return self._facts

    def _verdict(self, row: Row, scores: Mapping[str, float]) -> Verdict:
        if row.id in self._decided:
            yes = self._decided[row.id]
            return Verdict("quality", yes, None if yes else "rejected_by_people", float(yes))
        keep = scores[row.id] >= self._min
        return Verdict("quality", keep, None if keep else "low_quality", scores[row.id])

    def _without(self, rows: Sequence[Row], why: str) -> Sequence[Verdict]:
        """Too few decisions: an error where a file was to give them, else everything stays."""
        if self._file and rows:
            problem = Problem(f"quality cannot learn: {why}", key="filter.quality.file")
            raise DataError(str(problem), [problem])
        self._facts = {"note": f"quality looked at no row: {why}"}
        return [self._verdict(row, {row.id: 1.0}) for row in rows]

    def _of_file(
        self, name: str, records: Sequence[Mapping[str, Any]]
    ) -> list[tuple[str, tuple[str, bool]]]:
        found = []
        for at, record in enumerate(records):
            fields = record.get("fields") if isinstance(record.get("fields"), dict) else record
            assert fields is not None
            if any(fields.get(field) is None for field in self.needs):
                problem = Problem(
                    f"a row without {', '.join(self.needs)}", name, at + 1, "filter.quality.file"
                )
                raise DataError(str(problem), [problem])
            yes = _approved(record)
            if yes is not None:
                text = "\n".join(text_of_value(fields[field]) for field in self.needs)
                found.append((f"{name}:{at}", (text, yes)))
        return found


def _approved(record: Mapping[str, Any]) -> bool | None:
    if "decision" in record:
        return APPROVING.get(str(record["decision"]).strip().casefold())
    if "approved" in record:
        return str(record["approved"]).strip().casefold() in ("true", "1", "1.0", "yes")
    return True


def _facts(found: Approval) -> dict[str, Any]:
    return {
        "auc": found.auc.as_dict(),
        "approved_kept": found.kept.as_dict(),
        "approved": found.approved,
        "against": found.against,
    }
