"""The shape of report.json (CONTRACT section 4): every key is there, null where nothing ran.

`python -m distill.report.model FILE` writes the JSON Schema; a test keeps the shipped one fresh.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from pydantic import BaseModel, ConfigDict, Field

from distill.errors import DataError, Problem


class _Part(BaseModel):
    """A part of the report. Keys may be added by later versions, so others are let through."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)


class KnownFigure(_Part):
    """A measured figure with its 95 % interval."""

    value: float
    """Over several seeds: the mean."""
    low: float | None
    """Null where no interval is defined (a speed, a price)."""
    high: float | None
    n: int = Field(ge=0)
    """Rows it was measured on."""
    sd: float | None = None
    """Standard deviation over the seeds."""
    seeds: int | None = None
    """How many seeds."""


class UnknownFigure(_Part):
    """A figure that could not be measured."""

    value: None
    why: str = Field(min_length=1)


Figures = dict[str, KnownFigure | UnknownFigure]
"""METRIC -> figure."""


class RunPart(_Part):
    """Which run this is."""

    name: str
    recipe_hash: str
    started: str | None
    """ISO 8601."""
    seconds: float | None


class StageRows(_Part):
    """What one stage did with the rows it was given."""

    stage: str
    in_: int = Field(alias="in", ge=0)
    accepted: int = Field(ge=0)
    rejected: int = Field(ge=0)
    failed: int = Field(ge=0)
    reasons: dict[str, int]


class Shortfall(_Part):
    """The run accepted fewer rows than the recipe asked for."""

    accept: int
    got: int
    why: str


class Probe(_Part):
    """How good the teacher was on gold rows."""

    teacher: str
    metric: str
    overall: KnownFigure | UnknownFigure
    by_label: Figures | None
    """By gold label; null where there are no labels."""
    failed: int


class Cost(_Part):
    """What the answers cost, over the run and all its resumes."""

    usd: float | None
    """Null where no price is known."""
    requests: int
    input_tokens: int
    output_tokens: int
    stored_answers: int
    by_teacher: dict[str, Any]


class Training(_Part):
    """How the student was trained."""

    steps: int | None
    """None where a service trained it and does not tell; so with the others."""
    tokens: int | None
    loss_first: float | None
    loss_last: float | None
    tokens_per_s: float | None
    trainable: int | None
    """Parameters that were trained."""
    trainable_share: float | None
    pairs: dict[str, float] | None = None
    """Of preference distillation: how many held-out pairs are told right, {right, n}."""
    verdicts: dict[str, float] | None = None
    """Of a judge trained on its verdicts: {left_over, score_error, n} as measured last."""
    restarts: list[dict[str, int]] | None = None
    """Where it went on with a fresh optimiser, because the number of processes had changed:
    {step, processes_before, processes}."""


class BeforeAfter(_Part):
    """One general ability before and after training."""

    metric: str
    lower_is_better: bool
    chance: float | None
    """What guessing scores, where that means something."""
    student_before: KnownFigure | UnknownFigure
    student: KnownFigure | UnknownFigure
    difference: KnownFigure | UnknownFigure
    """After minus before, over the items that both were measured on."""
    worse: bool | None
    """The whole interval of the difference lies on the bad side."""
    by_topic: dict[str, Any] | None = None


class CurvePoint(_Part):
    """Students of one share of the training rows."""

    share: float
    rows: int
    figures: Figures


class LearningCurve(_Part):
    """Whether more rows would help; every point was trained for as many steps."""

    metric: str
    points: list[CurvePoint]
    """From the smallest share to all rows."""
    gain: KnownFigure | UnknownFigure
    """What the last doubling of the rows bought; positive is better."""
    next: dict[str, Any] | None
    """Twice the rows, as a power law projects it: {rows, value, gain, usd}."""
    usd_per_row: float | None
    worth: Literal["yes", "no", "unclear"]
    because: str


class LabelQuality(_Part):
    """How far the training labels can be trusted."""

    suspected: KnownFigure | UnknownFigure
    """Share of labels that confident learning takes for wrong."""
    rows: list[dict[str, Any]]
    """The most suspicious: {id, given, suggested, score}."""


class ReviewPart(_Part):
    """What people's reviews say about all rows of the run."""

    rows: int
    """Rows that somebody has reviewed."""
    reviewers: int
    error_rate: KnownFigure | UnknownFigure
    """Share of wrong rows, as the filters left them, from the reviewed rows drawn at random."""


class Collapse(_Part):
    """Whether the student's answers have collapsed onto a few forms."""

    kind: Literal["texts", "labels"]
    systems: dict[str, Any]
    """gold, teacher, student ... -> distinct {"1", "2", "3"}, self_similarity F, nearest F; or
    entropy (bits), commonest {label, share}, counts."""
    collapsed: bool | None
    because: str


class FailureModes(_Part):
    """Where the student goes wrong: clusters of like inputs, the largest first."""

    n: int
    wrong: int
    error_rate: KnownFigure | UnknownFigure
    clusters: list[dict[str, Any]]
    """{name, terms, count, error_rate F, expected, confused, slices, ids, examples}."""
    by_label: dict[str, Any] | None
    by_slice: dict[str, Any]
    file: str
    """The wrong rows with their cluster, below the run; `distill review export` takes it."""


class Cascade(_Part):
    """The student first, the teacher (or people) where it is not sure, from recorded answers."""

    to: Literal["teacher", "people"]
    n: int
    small: KnownFigure | UnknownFigure
    teacher: KnownFigure | UnknownFigure | None
    points: list[dict[str, Any]]
    """{threshold, handed, agreement F, kept_accuracy F, cost_per_1000}."""
    best: dict[str, Any] | None
    """Hands on least of those that are right as often as the teacher alone."""


class Economics(_Part):
    """What the student saves, and after how many rows it has paid for itself."""

    teacher_per_1000: float | None
    """USD."""
    student_per_1000: float | None
    saving_per_1000: float | None
    spent_usd: dict[str, float | None]
    """{answers, training}."""
    break_even_rows: float | None
    why: str | None
    """Why there is no break-even."""
    rests_on: dict[str, Any]
    """{price, rows_per_s, tokens_per_s}: the hardware price, and the speed measured here."""


class Significance(_Part):
    """Two systems on the same rows."""

    a: str
    b: str
    set: str
    n: int
    difference: KnownFigure | UnknownFigure
    """How much better b scores than a, 0 to 1 for each row."""
    p: float | None
    """Of a two-sided test; null where no row differs."""
    p_adjusted: float | None
    """For all tests of the report at once (Holm)."""
    test: str | None


class VerdictPart(_Part):
    """Whether distilling was worth it."""

    say: Literal["ship", "more_data", "fix_labels", "not_worth_it", "dataset_only"]
    because: str
    numbers: list[str] = []
    """Sentences: the figures of the other parts that bear on it."""


class Report(_Part):
    """report.json."""

    run: RunPart
    rows: list[StageRows]
    """One entry per stage run (generate, filter, review, split)."""
    shortfall: Shortfall | None
    probe: Probe | None = None
    """The teacher on gold, before anything was generated."""
    cost: Cost | None
    metrics: dict[str, Figures] | None
    """SYSTEM -> METRIC -> figure, on gold; on val without gold."""
    metrics_on: str | None = None
    """The set that `metrics` was measured on: gold or val."""
    metrics_by_set: dict[str, dict[str, Figures]] | None
    """The other sets."""
    judging: dict[str, dict[str, Any]] | None = None
    """Of judge tasks: SYSTEM -> its passport, as `distill judge eval --json` writes it."""
    significance: list[Significance] | None = None
    """Paired tests between systems, on the leading set."""
    ladder: dict[str, Any] | None = None
    """Who answered the baselines, and what it was shown: {asked, is_teacher, few_shot {source,
    ids, seed, turns}, retrieval {method, passages, among}}."""
    two_by_two: dict[str, Any] | None = None
    """The base model and the student, each with and without retrieval: {base | student: {without |
    with: {system, score}}}, the score being the mean over rows, 0 to 1."""
    training: Training | None
    curves: dict[str, Any] | None = None
    """Arm -> [{step, loss}] of the training losses."""
    forgetting: dict[str, BeforeAfter] | None = None
    """MEASURE -> before and after: `text`, `questions`, and tasks of lm-eval by name."""
    learning_curve: LearningCurve | None = None
    label_quality: LabelQuality | None = None
    review: ReviewPart | None = None
    economics: Economics | None = None
    format: Figures | None = None
    """SYSTEM -> the share of its outputs that validate."""
    collapse: Collapse | None = None
    failure_modes: FailureModes | None = None
    cascade: Cascade | None = None
    verdict: VerdictPart | None


def empty_report(name: str, recipe_hash: str) -> dict[str, Any]:
    """A report of a run in which nothing has run: every key, null where a part is missing."""
    return {
        "run": {"name": name, "recipe_hash": recipe_hash, "started": None, "seconds": None},
        "rows": [],
        "shortfall": None,
        "probe": None,
        "cost": None,
        "metrics": None,
        "metrics_on": None,
        "metrics_by_set": None,
        "judging": None,
        "significance": None,
        "ladder": None,
        "two_by_two": None,
        "training": None,
        "curves": None,
        "forgetting": None,
        "learning_curve": None,
        "label_quality": None,
        "review": None,
        "economics": None,
        **dict.fromkeys(("format", "collapse", "failure_modes", "cascade")),
        "verdict": None,
    }


def json_schema() -> dict[str, Any]:
    """The JSON Schema of report.json."""
    schema = Report.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def check_report(report: Mapping[str, Any], file: str | None = None) -> None:
    """Raises DataError with every place where a report does not have its fixed shape."""
    found = map(_deepest, Draft202012Validator(json_schema()).iter_errors(report))
    errors = sorted(found, key=lambda error: error.json_path)
    problems = [
        Problem(
            found=_short(error.message),
            file=file,
            key=".".join(str(part) for part in error.absolute_path) or None,
            fix="Write the report again: distill report RUN",
        )
        for error in errors
    ]
    problems += [
        Problem(
            found="not a number", file=file, key=key, allowed="a finite number, or null with `why`"
        )
        for key in _not_finite(report)
    ]
    if problems:
        raise DataError(f"the report does not have its fixed shape: {problems[0]}", problems)


def _deepest(error: ValidationError) -> ValidationError:
    """Of an "is neither this nor that" error, the part that got furthest."""
    while error.context:
        error = max(error.context, key=lambda inside: len(inside.absolute_path))
    return error


def _not_finite(value: Any, key: str = "") -> list[str]:
    """Keys of NaN and infinities, which JSON cannot hold."""
    if isinstance(value, float) and value - value != 0:
        return [key]
    inside = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, list | tuple):
        inside = enumerate(value)  # type: ignore[assignment]
    return [bad for name, part in inside for bad in _not_finite(part, f"{key}.{name}".lstrip("."))]


def _short(text: str, most: int = 200) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(json_schema(), indent=2) + "\n")
