"""What the student saves against its teacher, and after how many rows it has paid for itself."""

from collections.abc import Mapping
from typing import Any

PER = 1000
HOUR_S = 3600


def economics(report: Mapping[str, Any], price: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """USD and rows, from the plain figures of a report; None where no student was measured.

    Args:
        report: With cost, metrics and training.
        price: `student.price`: {gpu_hour} or {input, output}.

    Returns: teacher_per_1000, student_per_1000 and saving_per_1000 (USD or null), spent_usd
    {answers, training}, break_even_rows, why (where there is none), rests_on {price, rows_per_s,
    tokens_per_s}: the student's speed as it was measured on this machine.
    """
    metrics = report.get("metrics") or {}
    if "student" not in metrics:
        return None
    student = _value(metrics, "student", "cost_per_1000")
    teacher = _value(metrics, "teacher", "cost_per_1000")
    spent = _spent(report, price)
    saving = None if student is None or teacher is None else teacher - student
    rows, why = _break_even(teacher, student, saving, spent)
    speed, tokens = (_value(metrics, "student", n) for n in ("rows_per_s", "tokens_per_row"))
    return {
        "teacher_per_1000": teacher,
        "student_per_1000": student,
        "saving_per_1000": saving,
        "spent_usd": spent,
        "break_even_rows": rows,
        "why": why,
        "rests_on": {
            "price": {k: v for k, v in (price or {}).items() if v is not None} or None,
            "rows_per_s": speed,
            "tokens_per_s": None if speed is None or tokens is None else speed * tokens,
        },
    }


def _spent(report: Mapping[str, Any], price: Mapping[str, Any] | None) -> dict[str, float | None]:
    """What making the student took; training only where its machine has a price by the hour."""
    hour, training = (price or {}).get("gpu_hour"), report.get("training") or {}
    seconds = training.get("seconds")
    return {
        "answers": (report.get("cost") or {}).get("usd"),
        "training": None if hour is None or seconds is None else seconds / HOUR_S * hour,
    }


def _break_even(
    teacher: float | None,
    student: float | None,
    saving: float | None,
    spent: Mapping[str, float | None],
) -> tuple[float | None, str | None]:
    if student is None:
        return None, "the student has no price: set student.price {gpu_hour} or {input, output}"
    if teacher is None:
        return None, "the teacher has no price"
    if saving is None or saving <= 0:
        return None, "the student costs as much as its teacher or more"
    if spent["answers"] is None:
        return None, "what the answers cost is not known"
    return PER * (spent["answers"] + (spent["training"] or 0.0)) / saving, None


def economics_sentence(found: Mapping[str, Any] | None) -> str | None:
    """The figures as a sentence; None where nothing is known."""
    if found is None:
        return None
    teacher, student = found["teacher_per_1000"], found["student_per_1000"]
    if student is None or teacher is None:
        return f"there is no break-even: {found['why']}."
    basis = found["rests_on"]
    price = basis["price"] or {}
    if "gpu_hour" in price and basis["tokens_per_s"] is not None:
        rests = (
            f" at {price['gpu_hour']:g} USD an hour and the {basis['tokens_per_s']:,.0f} tokens/s "
            "measured here"
        )
    else:
        rests = f" at {price.get('input', 0):g} and {price.get('output', 0):g} USD per million"
    head = (
        f"1,000 rows cost {_usd(student)} USD with the student{rests}, and {_usd(teacher)} USD "
        "with the teacher"
    )
    if found["break_even_rows"] is None:
        return f"{head}: {found['why']}."
    return f"{head}; what the run spent is earned back after {found['break_even_rows']:,.0f} rows."


def _value(metrics: Mapping[str, Any], system: str, metric: str) -> float | None:
    found: float | None = ((metrics.get(system) or {}).get(metric) or {}).get("value")
    return found


def _usd(value: float) -> str:
    return f"{value:,.2f}" if value >= 1 else f"{value:.2g}"
