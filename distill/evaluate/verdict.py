"""One word on whether to ship, from the report's plain figures, and the sentence that says why.

Thresholds, in the order in which they are tried:
    dataset_only   nothing was trained
    fix_labels     on gold the teacher is under 0.7, or no better than the student's constant guess
    not_worth_it   the student does not beat itself before training, or always guessing one label
    more_data      nothing was measured, or the student is under the teacher's interval
    ship           the student is inside the teacher's interval or above, or there is none to trail

The student's own interval is not what it is held against its teacher with: over few seeds it is so
wide that it would call almost any student as good.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TEACHER_LEAST = 0.7
"""Labels that are wrong more often than this teach mostly noise to a small student."""

MEASURES = ("accuracy_failures_wrong", "accuracy", "exact", "field_f1", "rouge_l", "loss")
"""The metric that decides: the first that the student has. A judge's failures count as wrong."""

LOWER_IS_BETTER = ("loss",)

LABEL_MEASURES = ("accuracy", "exact")
"""Metrics on which TEACHER_LEAST means something."""

CHEAPER = ("hard_labels", "hard_labels_confident", "text")
"""Students that need nothing but the teacher's text."""


@dataclass(frozen=True, slots=True)
class _Line:
    value: float
    low: float
    high: float


def verdict(report: Mapping[str, Any]) -> dict[str, str]:
    """What to do next, {"say", "because"}, for a report that has all its other parts.

    "Better" means by more than the student's own 95 % interval; over seeds the interval is that of
    the figure. On `val` the labels are the teacher's own, so the teacher is not judged there.
    """
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
        _labels(lines, measure, where) or _worth(lines, measure) or _against_teacher(lines, measure)
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
            f"On gold the teacher ({measure} {teacher.value:.3f}) is no better than always "
            f"answering the commonest label ({majority.value:.3f}); its labels teach nothing.",
        )
    if measure in LABEL_MEASURES and teacher.value < TEACHER_LEAST:
        return _say(
            "fix_labels",
            f"On gold the teacher has {measure} {teacher.value:.3f}, under {TEACHER_LEAST}; "
            "mend its prompt or use a better one before training on its labels.",
        )
    return None


def _worth(lines: Mapping[str, _Line], measure: str) -> dict[str, str] | None:
    student = lines["student"]
    free = {
        "student_before": "the same model before training",
        "majority": "always answering the commonest label",
        "longer": "always preferring the longer answer",
    }
    for system, words in free.items():
        other = lines.get(system)
        if other is not None and _reaches(other, student, measure):
            return _say(
                "not_worth_it",
                f"The student ({measure} {student.value:.3f}, {_interval(student)}) is not clearly "
                f"better than {words} ({other.value:.3f}).",
            )
    return None


def _against_teacher(lines: Mapping[str, _Line], measure: str) -> dict[str, str]:
    student, teacher = lines["student"], lines.get("teacher")
    cheaper = _cheaper(lines, measure)
    mine = f"{measure} {student.value:.3f}, {_interval(student)}"
    if teacher is None:
        return _say("ship", f"The student has {mine}; no teacher was measured beside it.{cheaper}")
    theirs = f"{teacher.value:.3f}, {_interval(teacher)}"
    if _trails(student, teacher, measure):
        return _say(
            "more_data",
            f"The student ({mine}) trails the teacher ({theirs}); more rows, or a larger student, "
            f"should close the gap.{cheaper}",
        )
    return _say("ship", f"The student ({mine}) is as good as the teacher ({theirs}).{cheaper}")


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
