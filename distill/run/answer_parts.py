"""The parts of the report that are worked out from what every system answered."""

from collections.abc import Mapping, Sequence
from typing import Any

from distill.evaluate.stage import SystemResult
from distill.judge.passport import plain
from distill.run.evaluate_sets import MeasuredSet

ANSWER_PARTS = ("judging",)
"""Keys of report.json."""


def answer_parts(
    sets: Sequence[MeasuredSet], results: Mapping[str, SystemResult]
) -> dict[str, Any]:
    """Every key of ANSWER_PARTS, on the first set and seed; null where there is nothing to tell."""
    if not sets:
        return dict.fromkeys(ANSWER_PARTS)
    return {"judging": passports(sets[0], results)}


def passports(part: MeasuredSet, results: Mapping[str, SystemResult]) -> dict[str, Any] | None:
    """SYSTEM -> a judge's whole passport (CONTRACT section 6); None where nobody judged.

    The teacher that was measured beside it is its reference line.
    """
    found: dict[str, Any] = {
        name: {**plain(one.passport.figures), "without_gold": part.left_out}
        for name, one in results.items()
        if one.passport is not None
    }
    for figures in found.values():
        if "teacher" in found:
            figures["reference_lines"]["teacher_human"] = found["teacher"]["accuracy"]
    return found or None
