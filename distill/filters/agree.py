"""agree: drops rows in which two fields disagree, or a vote is not clear enough."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from distill.filters.filter import Context, text_of_value
from distill.recipe.filtering import AgreeFilter
from distill.rows.row import Row, Verdict


class Agree:
    """Compares a field's value with the votes (or the value) of `with`, or with its own votes.

    The share compared with `min` is that of the votes for the value; with a single vote it is the
    answer's probability where the teacher gave one, else 1 for an equal answer and 0 for another.
    """

    quality: ClassVar[bool] = True

    def __init__(self, spec: AgreeFilter, context: Context) -> None:
        self._field = spec.field or context.task.output
        self._other = spec.with_ or self._field
        self._min = spec.min
        self.needs: Sequence[str] = tuple(dict.fromkeys((self._field, self._other)))

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with disagree or unclear; the score is the share of votes for the field's value."""
        return [self._verdict(row.fields) for row in rows]

    def _verdict(self, fields: Mapping[str, Any]) -> Verdict:
        value = text_of_value(fields[self._field])
        same = value == text_of_value(fields[self._other])
        votes = fields.get(f"{self._other}_votes")
        if votes:
            share = votes.get(value, 0) / sum(votes.values())
            # A tie is no disagreement: which of the two is the modal answer is then arbitrary.
            same = votes.get(value, 0) == max(votes.values())
        elif fields.get(f"{self._other}_p") is not None:
            share = float(fields[f"{self._other}_p"]) if same else 0.0
        elif self._other == self._field:
            return Verdict("agree", False, "no_votes")
        else:
            share = float(same)
        if not same:
            return Verdict("agree", False, "disagree", share)
        if share < self._min:
            return Verdict("agree", False, "unclear", share)
        return Verdict("agree", True, score=share)
