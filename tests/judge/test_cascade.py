"""A cheap judge that hands on what it is not sure of."""

import asyncio

import pytest

from distill.judge.cascade import Cascade, cascade_part, confidence_of
from distill.judge.results import Comparison, Grade, comparison


def grade(score: int | None, p: float | None = None) -> Grade:
    probs = None if p is None else {str(score): p}
    return Grade(score, None, probs, "", score is not None, "", 1)


class Fixed:
    """Gives the grades that it was built with, and remembers which rows it was asked about."""

    def __init__(self, grades: dict[str, Grade]) -> None:
        self.grades = grades
        self.asked: list[str] = []

    async def agrade_batch(self, rows):
        self.asked += [row["response"] for row in rows]
        return [self.grades[row["response"]] for row in rows]

    async def acompare_batch(self, rows, *, swap=True):
        return [comparison(g, g) for g in await self.agrade_batch(rows)]


ROWS = [{"response": name} for name in ("sure", "unsure", "unread", "silent")]
SMALL = {"sure": grade(5, 0.9), "unsure": grade(2, 0.4), "unread": grade(None), "silent": grade(3)}


def test_only_unsure_rows_go_to_the_teacher() -> None:
    """Low, missing and unreadable confidence is handed on; the rest is never asked again."""
    teacher = Fixed({name: grade(1, 1.0) for name in SMALL})
    cascade = Cascade(Fixed(SMALL), teacher, 0.8)
    found = asyncio.run(cascade.agrade_batch(ROWS))
    assert teacher.asked == ["unsure", "unread", "silent"]
    assert [one.by for one in found] == ["small", "teacher", "teacher", "teacher"]
    assert [one.verdict.score for one in found] == [5, 1, 1, 1]
    assert found[1].confidence == 0.4


def test_without_a_teacher_the_rest_is_for_people() -> None:
    """The cheap verdict stays beside the row, marked as undecided."""
    found = asyncio.run(Cascade(Fixed(SMALL), None, 0.8).agrade_batch(ROWS))
    assert [one.by for one in found] == ["small", "people", "people", "people"]
    assert found[1].verdict.score == 2


def test_the_confidence_of_a_pair() -> None:
    """Of the winner over both orders; orders that disagree are never sure."""

    def pair(winner, p_a):
        return Comparison(winner, p_a, winner, winner, True, "", True, ())

    assert confidence_of(pair("a", 0.8)) == 0.8
    assert confidence_of(pair("b", 0.2)) == pytest.approx(0.8)
    assert confidence_of(pair("tie", 0.5)) == 0.5
    assert confidence_of(pair(None, None)) is None


def test_the_curve_from_recorded_answers() -> None:
    """From all cheap to all dear; the best point agrees as the dear one does and hands on least."""
    n = 100
    confidence = [0.5 + at / 200 for at in range(n)]
    small = [at >= 40 for at in range(n)]  # wrong where it is not sure
    teacher = [at % 20 != 19 for at in range(n)]
    found = cascade_part(confidence, small, teacher, cost_small=1.0, cost_teacher=10.0)
    first, last = found["points"][0], found["points"][-1]
    assert (first["handed"], last["handed"]) == (0.0, 1.0)
    assert first["agreement"]["value"] == pytest.approx(0.6)
    assert last["agreement"]["value"] == found["teacher"]["value"] == pytest.approx(0.95)
    assert last["cost_per_1000"] == pytest.approx(11.0)
    assert found["best"]["handed"] == pytest.approx(0.4)
    assert found["best"]["agreement"]["value"] == pytest.approx(0.98)
    assert found["best"]["cost_per_1000"] == pytest.approx(5.0)


def test_people_take_the_rest() -> None:
    """Without a teacher's answers the curve tells what is kept and how right that is."""
    found = cascade_part([0.2, 0.9, None], [False, True, True], None, cost_small=1.0)
    assert found["to"] == "people"
    assert found["points"][0]["handed"] == pytest.approx(1 / 3)
    assert found["points"][1]["kept_accuracy"]["value"] == 1.0
    assert found["best"] is None
    assert cascade_part([None], [True], None) is None
