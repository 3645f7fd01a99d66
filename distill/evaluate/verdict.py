"""One word on whether to ship, from the report's plain figures, and the sentence that says why.

Thresholds, in the order in which they are tried:
    dataset_only   nothing was trained
    fix_labels     on gold the teacher is under 0.7, or no better than the student's constant guess
    fix_labels     people who looked at rows drawn at random found one in ten or more wrong, and
                   nothing shows the student as good as its teacher on gold
    not_worth_it   the student does not beat itself before training, always guessing one label, or
                   prompting that costs no more than the student (another model than its teacher)
    fix_labels     the student trails its teacher, and one label in ten or more looks wrong
    more_data      nothing was measured, or the student is under the teacher's interval
    ship           the student is inside the teacher's interval or above, or there is none to trail

Where a learning curve says that more rows would not help, a student that trails is not sent for
more data: it ships where the two intervals overlap, and else was not worth it as it was set up.
Without a curve the student's own interval is not what it is held against its teacher with: over few
seeds it is so wide that it would call almost any student as good.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from distill.evaluate.economics import economics_sentence
from distill.evaluate.forgetting import forgotten
from distill.report.figures import title

TEACHER_LEAST = 0.7
"""Labels that are wrong more often than this teach mostly noise to a small student."""

LABEL_ERRORS_MOST = 0.1
"""Label errors, suspected by the data or found by people (the low end of their interval), beyond
which labels come before rows."""

MEASURES = (
    "accuracy_failures_wrong",
    "accuracy",
    "token_f1",
    "exact",
    "field_f1",
    "rouge_l",
    "loss",
)
"""The metric that decides: the first that the student has. A judge's failures count as wrong."""

LOWER_IS_BETTER = ("loss",)

LABEL_MEASURES = ("accuracy", "exact")
"""Metrics on which TEACHER_LEAST means something."""

PROMPTED = ("zero_shot", "few_shot", "chain_of_thought", "react", "retrieval")
"""Ways to use a model without training it; few_shot_4 is one of few_shot."""

CHEAPER = ("hard_labels", "hard_labels_confident", "text")
"""Students that need nothing but the teacher's text."""


@dataclass(frozen=True, slots=True)
class _Line:
    value: float
    low: float
    high: float


def verdict(report: Mapping[str, Any]) -> dict[str, Any]:
    """What to do next, {"say", "because", "numbers"}, for a report that has all its other parts.

    `numbers` are sentences: the figures of the other parts that bear on the decision.

    "Better" means by more than the student's own 95 % interval; over seeds the interval is that of
    the figure. On `val` the labels are the teacher's own, so the teacher is not judged there.
    """
    found = _decide(report)
    return {**found, "numbers": list(_numbers(report))}


def _decide(report: Mapping[str, Any]) -> dict[str, str]:
    if report.get("training") is None:
        return _say("dataset_only", "No student was trained; the dataset is the result.")
    metrics = report.get("metrics") or {}
    measure = next((name for name in MEASURES if _line(metrics, "student", name)), None)
    if measure is None:
        return _say(
            "more_data",
            "The student was not measured. Give held-out rows as data.gold and evaluate on them.",
        )
    lines = {system: line for system in metrics if (line := _line(metrics, system, measure))}
    where = report.get("metrics_on") or "gold"
    found = (
        _labels(lines, measure, where)
        or _reviewed(report, lines, measure, where)
        or _worth(lines, measure, metrics, report.get("ladder"))
        or _noisy(report, lines, measure)
        or _against_teacher(lines, measure, report.get("learning_curve"))
    )
    if where == "val":
        found["because"] += " Measured on val, whose labels are the teacher's own."
    return found


def _labels(lines: Mapping[str, _Line], measure: str, where: str) -> dict[str, str] | None:
    teacher, majority = lines.get("teacher"), lines.get("majority")
    if teacher is None or where != "gold":
        return None
    if majority is not None and teacher.value <= majority.value:
        return _say(
            "fix_labels",
            f"On gold the teacher ({title(measure)} {teacher.value:.3f}) is no better than always "
            f"answering the commonest label ({majority.value:.3f}); its labels teach nothing.",
        )
    if measure in LABEL_MEASURES and teacher.value < TEACHER_LEAST:
        return _say(
            "fix_labels",
            f"On gold the teacher has {title(measure)} {teacher.value:.3f}, under {TEACHER_LEAST}; "
            "mend its prompt or use a better one before training on its labels.",
        )
    return None


def _reviewed(
    report: Mapping[str, Any], lines: Mapping[str, _Line], measure: str, where: str
) -> dict[str, str] | None:
    """People's word on the labels comes before any figure that was learnt from them."""
    wrong, teacher = _error_rate(report), lines.get("teacher")
    if wrong is None or wrong["low"] < LABEL_ERRORS_MOST:
        return None
    if where == "gold" and teacher and not _trails(lines["student"], teacher, measure):
        return None
    return _say(
        "fix_labels",
        f"Reviewers found {wrong['value']:.0%} of {wrong['n']} rows drawn at random wrong "
        f"(interval {wrong['low']:.0%} to {wrong['high']:.0%}); mend the teacher's prompt or the "
        "filters before the student is blamed or more rows are bought.",
    )


def _error_rate(report: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The error rate that people found, where rows drawn at random were reviewed."""
    found: Mapping[str, Any] = (report.get("review") or {}).get("error_rate") or {}
    return found if found.get("value") is not None else None


def _worth(
    lines: Mapping[str, _Line],
    measure: str,
    metrics: Mapping[str, Any],
    ladder: Mapping[str, Any] | None,
) -> dict[str, str] | None:
    """What does as well for less; a teacher that climbed the ladder is what was to be replaced."""
    student, prompted = lines["student"], not (ladder or {}).get("is_teacher")
    free = {
        "student_before": "the same model before training",
        "majority": "always answering the commonest label",
        "longer": "always preferring the longer answer",
    }
    free |= {
        name: f"prompting alone ({name})"
        for name in lines
        if prompted and name.startswith(PROMPTED) and not _dearer(metrics, name)
    }
    for system, words in free.items():
        other = lines.get(system)
        if other is not None and _reaches(other, student, measure):
            return _say(
                "not_worth_it",
                f"The student ({title(measure)} {student.value:.3f}, {_interval(student)}) is not "
                f"clearly better than {words} ({other.value:.3f}).",
            )
    return None


def _dearer(metrics: Mapping[str, Any], system: str) -> bool:
    """Whether a system is known to cost more to run than the student."""
    cost, mine = (
        ((metrics.get(name) or {}).get("cost_per_1000") or {}).get("value")
        for name in (system, "student")
    )
    return cost is not None and mine is not None and cost > mine


def _noisy(
    report: Mapping[str, Any], lines: Mapping[str, _Line], measure: str
) -> dict[str, str] | None:
    """Labels that look wrong come before more of them, where the student trails."""
    suspected = (report.get("label_quality") or {}).get("suspected") or {}
    teacher = lines.get("teacher")
    if teacher is None or not _trails(lines["student"], teacher, measure):
        return None
    if suspected.get("value") is None or suspected["low"] < LABEL_ERRORS_MOST:
        return None
    return _say(
        "fix_labels",
        f"The student ({title(measure)} {lines['student'].value:.3f}) trails the teacher "
        f"({teacher.value:.3f}), and {suspected['value']:.0%} of the training labels look wrong; "
        "have them reviewed before more are bought.",
    )


def _against_teacher(
    lines: Mapping[str, _Line], measure: str, curve: Mapping[str, Any] | None
) -> dict[str, str]:
    student, teacher = lines["student"], lines.get("teacher")
    cheaper = _cheaper(lines, measure)
    mine = f"{title(measure)} {student.value:.3f}, {_interval(student)}"
    if teacher is None:
        return _say("ship", f"The student has {mine}; no teacher was measured beside it.{cheaper}")
    theirs = f"{teacher.value:.3f}, {_interval(teacher)}"
    if _trails(student, teacher, measure):
        if curve is not None and curve["worth"] == "no":
            return _flat(student, teacher, f"The student ({mine}) trails the teacher ({theirs})")
        return _say(
            "more_data",
            f"The student ({mine}) trails the teacher ({theirs}); more rows, or a larger student, "
            f"should close the gap.{cheaper}",
        )
    return _say("ship", f"The student ({mine}) is as good as the teacher ({theirs}).{cheaper}")


def _flat(student: _Line, teacher: _Line, head: str) -> dict[str, str]:
    """What follows where the student trails and more rows would not help."""
    if student.low <= teacher.high and teacher.low <= student.high:
        return _say("ship", f"{head} within their intervals, and more rows would not help.")
    return _say(
        "not_worth_it",
        f"{head}, and more rows would not help: try a larger student, or accept the gap.",
    )


def _numbers(report: Mapping[str, Any]) -> Iterator[str]:
    """Sentences of the other parts, for those that were measured."""
    if (curve := report.get("learning_curve")) is not None:
        yield f"Learning curve: {curve['because']}"
    suspected = (report.get("label_quality") or {}).get("suspected") or {}
    if suspected.get("value") is not None:
        yield (
            f"Labels: {suspected['value']:.1%} of {suspected['n']:,} training labels look wrong "
            f"(interval {suspected['low']:.1%} to {suspected['high']:.1%})."
        )
    if (wrong := _error_rate(report)) is not None:
        yield (
            f"Review: {wrong['value']:.1%} of {wrong['n']:,} rows drawn at random were wrong "
            f"(interval {wrong['low']:.1%} to {wrong['high']:.1%})."
        )
    if lost := list(forgotten(report.get("forgetting"))):
        yield f"Forgotten: {'; '.join(lost)}."
    if (report.get("collapse") or {}).get("collapsed"):
        yield f"Collapse: {report['collapse']['because']}"
    if (best := (report.get("cascade") or {}).get("best")) is not None and 0 < best["handed"] < 1:
        yield (
            f"Cascade: as right as the teacher alone ({best['agreement']['value']:.3f}) with "
            f"{best['handed']:.0%} of the rows handed to it."
        )
    if (money := economics_sentence(report.get("economics"))) is not None:
        yield f"Price: {money}"


def _cheaper(lines: Mapping[str, _Line], measure: str) -> str:
    """A sentence about the best arm that needs no token probabilities, where one keeps up."""
    sign = -1 if measure in LOWER_IS_BETTER else 1
    arms = {name: lines[name].value for name in CHEAPER if name in lines}
    best = max(arms, key=lambda name: sign * arms[name], default=None)
    if best is None or sign * arms[best] < sign * lines["student"].value:
        return ""
    return f" The cheaper arm {best} does at least as well ({arms[best]:.3f})."


def _reaches(other: _Line, student: _Line, measure: str) -> bool:
    """Whether the other is at least as good as the worse end of the student's interval."""
    if measure in LOWER_IS_BETTER:
        return other.value <= student.high
    return other.value >= student.low


def _trails(student: _Line, teacher: _Line, measure: str) -> bool:
    """Whether the student is worse than the worse end of the teacher's interval."""
    if measure in LOWER_IS_BETTER:
        return student.value > teacher.high
    return student.value < teacher.low


def _line(metrics: Mapping[str, Any], system: str, measure: str) -> _Line | None:
    figure = (metrics.get(system) or {}).get(measure) or {}
    value = figure.get("value")
    if value is None:
        return None
    low, high = figure.get("low"), figure.get("high")
    return _Line(value, value if low is None else low, value if high is None else high)


def _interval(line: _Line) -> str:
    return f"interval {line.low:.3f} to {line.high:.3f}"


def _say(say: str, because: str) -> dict[str, str]:
    return {"say": say, "because": because}
