"""The judge: grades one answer or compares two, and says when it could not."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from distill.errors import Problem, UsageError
from distill.judge.blocking import Blocking
from distill.judge.form import JudgeForm
from distill.judge.parse import parse_verdict
from distill.judge.probabilities import (
    choice_probabilities,
    expected_score,
    verdict_probabilities,
)
from distill.judge.results import Comparison, Grade, comparison
from teachers.errors import AuthError, BudgetReached, TeacherError
from teachers.protocol import Answer, Ask, Message, Teacher

TOP_LOGPROBS = 20
IN_FLIGHT = 64


class Judge:
    """A trained judge, or any teacher with a judge's prompt, behind one interface.

    Every method has a twin in async (`agrade`, `acompare`, ...); one judge serves either, since its
    connections belong to one event loop. Greedy; texts that cannot be read are asked once more with
    the scale as the only answers. With `constrained` that is all it is asked: no feedback.
    """

    def __init__(
        self,
        teacher: Teacher,
        form: JudgeForm,
        *,
        in_flight: int = IN_FLIGHT,
        constrained: bool = False,
    ) -> None:
        self._teacher = teacher
        self.form = form
        self._in_flight = in_flight
        self._constrained = constrained
        self._blocking = Blocking()

    @classmethod
    def load(
        cls, folder: Path | str, *, template: str | None = None, force: bool = False
    ) -> "Judge":
        """A judge from its exported folder, run in this process with transformers.

        Args:
            folder: What `distill export` wrote (a run's `student`).
            template: Another prompt; refused unless forced.
            force: Take a template that is not the one of the training.

        Raises: DataError, UsageError; the weights are read at the first question.
        """
        from teachers.config import LocalTeacher
        from teachers.local import LocalAdapter

        path = Path(folder)
        form = JudgeForm.read(path, force=force)
        if template is not None:
            form = form.with_template(template, force=force)
        config = LocalTeacher(
            kind="local",
            model=str(path),
            temperature=0.0,
            max_tokens=form.max_tokens,
            concurrency=IN_FLIGHT,
        )
        return cls(LocalAdapter(config, "judge", source=str(path)), form)

    @classmethod
    def connect(
        cls,
        folder: Path | str,
        *,
        base_url: str,
        model: str,
        api_key_env: str | None = None,
        force: bool = False,
    ) -> "Judge":
        """A judge whose weights an OpenAI-compatible server holds; its form lies in the folder.

        Raises: DataError, teachers.errors.ConfigError, MissingKey.
        """
        from teachers.config import OpenAITeacher
        from teachers.openai_api import OpenAIAdapter

        form = JudgeForm.read(Path(folder), force=force)
        config = OpenAITeacher(
            kind="openai",
            model=model,
            base_url=base_url,
            api_key_env=api_key_env,
            temperature=0.0,
            max_tokens=form.max_tokens,
        )
        return cls(OpenAIAdapter(config, "judge"), form)

    def grade(
        self, instruction: str, response: str, rubric: Any = None, *, reference: str | None = None
    ) -> Grade:
        """A score for one answer."""
        row = _row(instruction=instruction, response=response, rubric=rubric, reference=reference)
        return self.grade_batch([row])[0]

    def compare(
        self,
        instruction: str,
        a: str,
        b: str,
        rubric: Any = None,
        *,
        reference: str | None = None,
        swap: bool = True,
    ) -> Comparison:
        """Which of two answers is better; with `swap` asked in both orders."""
        row = _row(instruction=instruction, a=a, b=b, rubric=rubric, reference=reference)
        return self.compare_batch([row], swap=swap)[0]

    def grade_batch(self, rows: Sequence[Mapping[str, Any]]) -> list[Grade]:
        """One grade per row {instruction, response, rubric?, reference?, context?}."""
        return self._blocking.run(self.agrade_batch(rows))

    def compare_batch(
        self, rows: Sequence[Mapping[str, Any]], *, swap: bool = True
    ) -> list[Comparison]:
        """One comparison per row {instruction, a, b, rubric?, reference?, context?}."""
        return self._blocking.run(self.acompare_batch(rows, swap=swap))

    async def agrade(
        self, instruction: str, response: str, rubric: Any = None, *, reference: str | None = None
    ) -> Grade:
        """As `grade`."""
        row = _row(instruction=instruction, response=response, rubric=rubric, reference=reference)
        return (await self.agrade_batch([row]))[0]

    async def acompare(
        self,
        instruction: str,
        a: str,
        b: str,
        rubric: Any = None,
        *,
        reference: str | None = None,
        swap: bool = True,
    ) -> Comparison:
        """As `compare`."""
        row = _row(instruction=instruction, a=a, b=b, rubric=rubric, reference=reference)
        return (await self.acompare_batch([row], swap=swap))[0]

    async def agrade_batch(self, rows: Sequence[Mapping[str, Any]]) -> list[Grade]:
        """As `grade_batch`."""
        self.require(pairwise=False)
        return await self._read_all(rows)

    async def acompare_batch(
        self, rows: Sequence[Mapping[str, Any]], *, swap: bool = True
    ) -> list[Comparison]:
        """As `compare_batch`."""
        self.require(pairwise=True)
        asked = list(rows)
        if swap:
            asked += [{**row, "a": row["b"], "b": row["a"]} for row in rows]
        found = await self._read_all(asked)
        second: Sequence[Grade | None] = found[len(rows) :] or [None] * len(rows)
        return [
            comparison(one, other) for one, other in zip(found[: len(rows)], second, strict=True)
        ]

    # Prometheus's names (Kim et al. 2024, arXiv:2405.01535), for those who come from there.

    def single_absolute_grade(
        self, instruction: str, response: str, rubric: Any, reference_answer: str | None = None
    ) -> tuple[str, int | str | None]:
        """(feedback, score)."""
        found = self.grade(instruction, response, rubric, reference=reference_answer)
        return found.feedback, found.score

    def absolute_grade(
        self,
        instructions: Sequence[str],
        responses: Sequence[str],
        rubric: Any,
        reference_answers: Sequence[str] | None = None,
    ) -> tuple[list[str], list[int | str | None]]:
        """(feedbacks, scores)."""
        rows = _rows(instructions, rubric, reference_answers, response=responses)
        found = self.grade_batch(rows)
        return [one.feedback for one in found], [one.score for one in found]

    def single_relative_grade(
        self,
        instruction: str,
        response_A: str,
        response_B: str,
        rubric: Any,
        reference_answer: str | None = None,
    ) -> tuple[str, str | None]:
        """(feedback, "A" | "B" | "TIE" | None)."""
        found = self.compare(
            instruction, response_A, response_B, rubric, reference=reference_answer
        )
        return found.feedback, found.winner and found.winner.upper()

    def relative_grade(
        self,
        instructions: Sequence[str],
        responses_A: Sequence[str],
        responses_B: Sequence[str],
        rubric: Any,
        reference_answers: Sequence[str] | None = None,
    ) -> tuple[list[str], list[str | None]]:
        """(feedbacks, ["A" | "B" | "TIE" | None, ...])."""
        rows = _rows(instructions, rubric, reference_answers, a=responses_A, b=responses_B)
        found = self.compare_batch(rows)
        return [one.feedback for one in found], [one.winner and one.winner.upper() for one in found]

    async def write(self, ask: Ask) -> Answer:
        """What the model behind the judge writes to any prompt.

        Raises: TeacherError when it cannot answer.
        """
        return await self._teacher.ask(ask)

    def close(self) -> None:
        """Gives back memory and connections."""
        self._blocking.run(self.aclose())
        self._blocking.close()

    async def aclose(self) -> None:
        """As `close`."""
        await self._teacher.close()

    def require(self, *, pairwise: bool) -> None:
        """Raises UsageError where the judge is of the other kind."""
        if self.form.pairwise != pairwise:
            kind, other = ("compares", "grade") if self.form.pairwise else ("grades", "compare")
            problem = Problem(
                f"this judge {kind} and cannot {other}", fix="Load the other kind of judge."
            )
            raise UsageError(str(problem), [problem])

    async def _read_all(self, rows: Sequence[Mapping[str, Any]]) -> list[Grade]:
        gate = asyncio.Semaphore(self._in_flight)

        async def one(row: Mapping[str, Any]) -> Grade:
            async with gate:
                return await self._read(self.form.prompt.ask_messages(row))

        return list(await asyncio.gather(*(one(row) for row in rows)))

    async def _read(self, messages: tuple[Message, ...]) -> Grade:
        limited = Ask(messages, choices=self._choices())
        tokens = self.form.max_tokens
        free = Ask(
            messages,
            schema=self.form.schema,
            max_tokens=tokens,
            top_logprobs=TOP_LOGPROBS,
            allow_truncated=True,
        )
        answer, error = await self._ask(limited if self._constrained else free)
        if answer is None and error == "parse" and not self._constrained:
            answer, error = await self._ask(limited)  # what it wrote does not fit the schema
        if answer is None:
            cut = True if error == "truncated" else None
            return Grade(None, None, None, "", False, "", 1, error=error, truncated=cut)
        grade = self._grade(answer, answer.text, tries=1)
        if grade.parsed or self._constrained:
            return grade
        again, error = await self._ask(limited)
        if again is None:
            return replace(grade, tries=2, error=error)
        second = self._grade(again, f"{answer.text}\nVERDICT: {again.text}", tries=2)
        return _with_both(second, grade)

    async def _ask(self, ask: Ask) -> tuple[Answer | None, str | None]:
        """The answer, or how the ask failed. Raises what concerns every row."""
        try:
            return await self._teacher.ask(ask), None
        except (AuthError, BudgetReached):
            raise
        except TeacherError as error:
            return None, error.kind

    def _choices(self) -> tuple[str, ...]:
        return tuple(value.upper() for value in self.form.scale)

    def _grade(self, answer: Answer, raw: str, *, tries: int) -> Grade:
        scale = self.form.scale
        found = parse_verdict(raw, scale)
        probs = None
        if found.value is not None and self._constrained:
            probs = choice_probabilities(answer.choice_logp, scale)
        elif found.value is not None and answer.choice_logp is None:
            probs = verdict_probabilities(answer.logprobs, found.value, scale)
        return Grade(
            score=_number(found.value),
            expected=expected_score(probs) if probs else None,
            probs=probs,
            feedback=found.feedback,
            parsed=found.value is not None,
            raw=raw,
            tries=tries,
            input_tokens=answer.usage.input_tokens,
            output_tokens=answer.usage.output_tokens,
            cost_usd=answer.cost_usd,
            stored=answer.stored,
            truncated=answer.finish == "length",
        )


def _with_both(second: Grade, first: Grade) -> Grade:
    """The second try, which cost what both cost."""
    known = first.cost_usd is not None and second.cost_usd is not None
    return replace(
        second,
        input_tokens=first.input_tokens + second.input_tokens,
        output_tokens=first.output_tokens + second.output_tokens,
        cost_usd=(first.cost_usd or 0.0) + (second.cost_usd or 0.0) if known else None,
        stored=first.stored and second.stored,
        truncated=first.truncated,
    )


def _number(value: str | None) -> int | str | None:
    try:
        return value if value is None else int(value)
    except ValueError:
        return value


def _row(**fields: Any) -> dict[str, Any]:
    """All names are there, empty where not given: a template may ask for any of them."""
    return {"rubric": None, "reference": None, "context": None} | fields


def _rows(
    instructions: Sequence[str],
    rubric: Any,
    references: Sequence[str] | None,
    **columns: Sequence[str],
) -> list[dict[str, Any]]:
    return [
        _row(
            instruction=instruction,
            rubric=rubric,
            reference=references[at] if references else None,
            **{name: values[at] for name, values in columns.items()},
        )
        for at, instruction in enumerate(instructions)
    ]
