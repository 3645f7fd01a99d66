"""custom: the user's own filter, by import path."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from distill.errors import RunError
from distill.filters.answers import read_answer
from distill.filters.asking import ask_all
from distill.filters.filter import Context
from distill.recipe.filtering import CustomFilter
from distill.rows.row import Row, Verdict
from teachers.errors import BudgetReached, TeacherError
from teachers.protocol import Ask, user


class Custom:
    """Calls `function(fields)`, or `await function(fields, ask)` where a teacher is named.

    `ask(text, choices=None, schema=None, sample=0)` returns the teacher's text.
    """

    quality: ClassVar[bool] = True

    def __init__(self, spec: CustomFilter, context: Context) -> None:
        self.needs: Sequence[str] = ()
        self._function = context.function(spec.python)
        self._name, self._min, self._listen = spec.python, spec.min, context.listen
        self._ask = _asker(spec, context) if spec.ask else None

    async def verdicts(self, rows: Sequence[Row]) -> Sequence[Verdict]:
        """Drops with the function's own reason, else "custom"; the score is what it returned."""
        if self._ask is None:
            return [self._verdict(row, self._call(row)) for row in rows]
        answers = await ask_all("custom", rows, self._asked, self._listen)
        return [self._verdict(row, answer) for row, answer in zip(rows, answers, strict=True)]

    async def _asked(self, row: Row) -> Any:
        try:
            return await self._function(dict(row.fields), self._ask)
        except (TeacherError, BudgetReached):
            raise
        except Exception as error:
            raise self._broken(row, error) from error

    def _call(self, row: Row) -> Any:
        try:
            return self._function(dict(row.fields))
        except Exception as error:
            raise self._broken(row, error) from error

    def _verdict(self, row: Row, answer: Any) -> Verdict:
        if isinstance(answer, TeacherError):
            return Verdict("custom", False, "unanswered")
        try:
            said = read_answer(answer, self._min)
        except TypeError as error:
            raise self._broken(row, error) from error
        return Verdict(
            "custom", said.keep, None if said.keep else said.reason or "custom", said.score
        )

    def _broken(self, row: Row, error: Exception) -> RunError:
        """A fault of the function, not of the row: hiding it would drop rows for nothing."""
        return RunError(f"{self._name} broke on row {row.id}: {type(error).__name__}: {error}")


def _asker(spec: CustomFilter, context: Context) -> Callable[..., Awaitable[str]]:
    assert spec.ask is not None
    teacher = context.teacher(spec.ask)

    async def ask(
        text: str,
        choices: Sequence[str] | None = None,
        schema: Mapping[str, Any] | None = None,
        sample: int = 0,
    ) -> str:
        allowed = tuple(choices) if choices else None
        return (await teacher.ask(Ask(user(text), sample, allowed, schema))).text

    return ask
