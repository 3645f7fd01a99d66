"""Break-even against the teacher's price, and what the student's price rests on."""

import pytest

from distill.evaluate.economics import economics, economics_sentence


def figure(value):
    return {"value": value, "low": None, "high": None, "n": 100}


def report(student=0.5, teacher=2.5, usd=3.0):
    metrics = {"teacher": {"cost_per_1000": figure(teacher)} if teacher else {}}
    metrics["student"] = {"rows_per_s": figure(10.0), "tokens_per_row": figure(40.0)}
    if student is not None:
        metrics["student"]["cost_per_1000"] = figure(student)
    return {"metrics": metrics, "cost": {"usd": usd}, "training": {"seconds": 1800.0}}


def test_break_even_counts_answers_and_training() -> None:
    """3 USD of answers and half an hour at 2 USD, earned back at 2 USD per 1,000: 2,000 rows."""
    found = economics(report(), {"gpu_hour": 2.0, "input": None, "output": None})
    assert found["spent_usd"] == {"answers": 3.0, "training": 1.0}
    assert found["break_even_rows"] == pytest.approx(2000.0)
    assert found["rests_on"] == {"price": {"gpu_hour": 2.0}, "rows_per_s": 10.0,
                                 "tokens_per_s": 400.0}  # fmt: skip
    sentence = economics_sentence(found)
    assert "400 tokens/s" in sentence
    assert "2 USD an hour" in sentence
    assert "after 2,000 rows" in sentence


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (report(student=None), "set student.price"),
        (report(teacher=None), "teacher has no price"),
        (report(student=3.0), "costs as much"),
        (report(usd=None), "not known"),
    ],
)
def test_without_a_break_even_it_says_why(given, why) -> None:
    """Missing prices and a student that saves nothing have no break-even, and a reason."""
    found = economics(given, {"gpu_hour": 2.0})
    assert found["break_even_rows"] is None
    assert why in found["why"]
    assert why in economics_sentence(found)


def test_no_student_has_no_economics() -> None:
    """A run that measured no student says nothing of its price."""
    assert economics({"metrics": {"teacher": {}}}, None) is None
    assert economics_sentence(None) is None
