"""verify: drops rows whose answer is not the right one, by number, pattern or the user's function.

The text of a row is compared, never executed.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from distill.filters.answers import read_answer
from distill.filters.filter import Context, text_of_value
from distill.measure.duplicates import normalise
from distill.recipe.filtering import VerifyFilter
from distill.rows.row import Row, Verdict

_NUMBER = re.compile(
    r"(?<![\w.,])(?P<sign>[-+\u2212]?)[$\u20ac\u00a3]?\s?"
    r"(?P<digits>\d{1,3}(?:[, \u202f\u00a0]\d{3})+(?!\d)(?:\.\d+)?|\d*\.?\d+)"
    r"(?P<power>[eE][-+]?\d{1,3})?(?:\s?/\s?(?P<under>\d+(?:\.\d+)?))?(?!\w*\d)"
)
_MARKED = (
    re.compile(r"####\s*(.+)"),
    re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\})*)\}"),
    re.compile(r"(?i)\b(?:final )?answer\s*(?:is|:|=)\s*(.+)"),
)


class Verify:
    """With `with` the answer must be that field's; without, the form alone is checked."""

    quality: ClassVar[bool] = False

    def __init__(self, spec: VerifyFilter, context: Context) -> None:
        field = spec.field or context.task.output
        self._field, self._with = field, spec.with_
        self._number, self._tolerance = spec.number, spec.tolerance
        if not (spec.number or spec.regex or spec.python or spec.with_):
            raise context.refuse("verify checks nothing", allowed="number, regex, python, with")
        try:
            self._regex = re.compile(spec.regex) if spec.regex else None
        except re.error as error:
            raise context.refuse(f"regex: not a regular expression: {error}") from error
        self._function = context.function(spec.python) if spec.python else None
        own = () if self._function and not (spec.number or spec.regex or spec.with_) else (field,)
        self.needs: Sequence[str] = (*own, *((spec.with_,) if spec.with_ else ()))

    def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with no_match, no_number, wrong, error, or the function's own reason."""
        return [self._verdict(row) for row in rows]

    def _verdict(self, row: Row) -> Verdict:
        reason = self._fault(row) if self._field in self.needs else None
        if reason is not None:
            return Verdict("verify", False, reason, 0.0)
        return self._own(row) if self._function else Verdict("verify", True, score=1.0)

    def _fault(self, row: Row) -> str | None:
        """What is wrong with the answer, None where nothing is."""
        text = text_of_value(row.fields[self._field])
        if self._regex:
            match = self._regex.search(text)
            if match is None:
                return "no_match"
            text = match[1] if match.re.groups and match[1] is not None else match[0]
        right = None if self._with is None else text_of_value(row.fields[self._with])
        if self._number:
            return self._number_fault(text, right)
        same = right is None or normalise(text) == normalise(right)
        return None if same else "wrong"

    def _number_fault(self, text: str, right: str | None) -> str | None:
        value = last_number(text)
        if value is None:
            return "no_number"
        if right is None:
            return None
        truth = last_number(right)
        close = truth is not None and math.isclose(
            value, truth, rel_tol=self._tolerance, abs_tol=1e-12
        )
        return None if close else "wrong"

    def _own(self, row: Row) -> Verdict:
        assert self._function is not None
        try:
            said = read_answer(self._function(dict(row.fields)), None)
        except Exception:  # what an answer makes a checker do is what the answer is worth
            return Verdict("verify", False, "error", 0.0)
        return Verdict(
            "verify", said.keep, None if said.keep else said.reason or "wrong", said.score
        )


def last_number(text: Any) -> float | None:
    r"""Returns the number that a text arrives at, None where there is none.

    The marked one ("#### 42", \boxed{42}, "the answer is 42"), else the last one; 1,234.5, 3/4 and
    1e-3 are numbers.
    """
    for marked in _MARKED:
        found = marked.findall(text)
        if found and (numbers := _numbers(found[-1])):
            return numbers[0]
    numbers = _numbers(text)
    return numbers[-1] if numbers else None


def _numbers(text: str) -> list[float]:
    found = []
    for match in _NUMBER.finditer(text):
        digits = re.sub("[, \u202f\u00a0]", "", match["digits"])
        value = float(digits + (match["power"] or ""))
        if match["under"]:
            under = float(match["under"])
            value = value / under if under else math.nan
        if math.isfinite(value):
            found.append(-value if match["sign"] in ("-", "\u2212") else value)
    return found
