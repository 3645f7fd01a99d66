"""complete: drops rows that lack what is needed to arrive at their answer, as a teacher sees it."""

from collections.abc import Sequence
from typing import ClassVar

from distill.filters.filter import Context, both_sides
from distill.filters.judge import Panel, least, rubric_of
from distill.recipe.filtering import CompleteFilter
from distill.rows.row import Row, Verdict

RUBRIC = """\
---
scale: {min: 1, max: 4}
---
Does the row hold all that is needed to arrive at its answer?

- 4: a competent reader who sees nothing but the input arrives at this answer.
- 3: the answer follows, with knowledge that everybody in the field has.
- 2: something that decides the answer is missing: a figure, a document, an earlier message, a
  picture, what "it" or "there" means.
- 1: the input says next to nothing about the answer, or cannot be understood.

Do not grade whether the answer is right, well written or polite: only whether it can be arrived
at from what stands there.
"""


class Complete:
    """Asks a teacher with a rubric of ours, or the recipe's own."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: CompleteFilter, context: Context) -> None:
        rubric = rubric_of(spec.rubric or RUBRIC, context)
        fields = tuple(spec.fields or both_sides(context.task))
        self.needs: Sequence[str] = fields
        teacher = context.teacher(spec.ask)
        self._panel = Panel("complete", teacher, rubric, fields, spec.votes, context)
        middle = (rubric.scores[0] + rubric.scores[-1]) / 2
        self._min = middle if spec.min is None else least(rubric, spec.min, context)

    async def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with incomplete, or unanswered where the teacher gave no grade."""
        return await self._panel.verdicts(rows, self._min, "incomplete")
