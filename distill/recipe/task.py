"""What the student has to do: one class per task kind."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from distill.recipe.model import Model


class _Task(Model):
    """What all tasks have."""

    input: str = "input"
    """Field that the student reads."""
    output: str = "output"
    """Field that the student writes."""
    prompt: str | None = None
    """Template shown to the student (inline or a file); absent: the default of the kind."""
    system: str | None = None
    """System message shown to the student."""
    completion: str | None = None
    """Template of what the student learns to write; absent: the output, for judges the feedback (if
    there is any) and a last line `VERDICT: ...`."""
    answer_pattern: str | None = None
    """Regular expression whose first group is the answer in what the student writes, the rest being
    how it got there; absent: what the strategy's completion needs, else all of it."""

    @field_validator("answer_pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groups if pattern is not None else 1
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        if not groups:
            raise ValueError("the answer needs a group: write it between ( and )")
        return pattern


class ClassifyTask(_Task):
    """One of a closed list of labels."""

    kind: Literal["classify"]
    labels: list[str] = Field(min_length=2)
    input: str = "text"
    output: str = "label"

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: list[str]) -> list[str]:
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"labels given twice: {', '.join(twice)}")
        return labels


class ExtractTask(_Task):
    """A JSON object that fits a schema."""

    kind: Literal["extract"]
    schema_: dict[str, Any] = Field(alias="schema")


class GenerateTask(_Task):
    """Free text."""

    kind: Literal["generate"]


class GroundedTask(_Task):
    """An answer with citations from given passages."""

    kind: Literal["grounded"]
    input: str = "question"
    output: str = "answer"
    passages: str = "passages"
    """Field that holds them: a list of texts, or of {title?, text}."""
    abstain: str = "The passages do not say."
    """The answer where they do not hold one."""


class Scale(Model):
    """An integer scale, both ends included."""

    min: int
    max: int


class Augment(Model):
    """Copies of training rows, made when the dataset is written; the shares of rows that get one.

    JudgeLM (Zhu et al. 2023, arXiv:2310.17631) uses a half.
    """

    drop_reference: float = Field(default=0.0, ge=0, le=1)
    """Copies without the reference: one judge for rows with and without."""
    drop_feedback: float = Field(default=0.0, ge=0, le=1)
    """Copies without the reasons: the verdict alone."""


class PairAugment(Augment):
    """The same for comparisons, and copies in the other order."""

    swap: float = Field(default=0.0, ge=0, le=1)
    """Copies with the two answers, the verdict and its reasons the other way round."""


AnyAugment = Augment | PairAugment
VerdictFormat = Literal["line", "json"]
"""How a judge writes: the reasons and a last line `VERDICT: ...`, or one JSON object of both."""


class JudgeAbsoluteTask(_Task):
    """A score on a rubric, with feedback."""

    kind: Literal["judge_absolute"]
    scale: Scale | list[str] = Scale(min=1, max=5)
    input: str = "response"
    output: str = "score"
    format: VerdictFormat = "line"
    augment: Augment | None = None


class JudgePairwiseTask(_Task):
    """Which of two answers is better."""

    kind: Literal["judge_pairwise"]
    scale: list[str] = Field(default=["a", "b", "tie"])
    input: str = "instruction"
    output: str = "winner"
    format: VerdictFormat = "line"
    augment: PairAugment | None = None


Task = Annotated[
    ClassifyTask
    | ExtractTask
    | GenerateTask
    | GroundedTask
    | JudgeAbsoluteTask
    | JudgePairwiseTask,
    Field(discriminator="kind"),
]


def labels_of(task: Task) -> list[str] | None:
    """The closed list of outputs of a task, as text; None where it has none."""
    scale = getattr(task, "scale", None)
    if isinstance(scale, Scale):
        return [str(score) for score in range(scale.min, scale.max + 1)]
    labels: list[str] | None = getattr(task, "labels", None) or scale
    return labels
