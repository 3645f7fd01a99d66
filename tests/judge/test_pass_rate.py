"""The true pass rate behind the verdicts of a judge that errs."""

import pytest

from distill.judge.pass_rate import corrected_pass_rate
from distill.judge.rows import JudgeRow
from distill.judge.verdicts import Judged, Verdict


def data(known: list[tuple[float, float]], unlabelled: list[float]):
    """Rows with (gold, said), and rows with what was said only."""
    rows, judged = [], {}
    for at, (gold, said) in enumerate([*known, *((None, said) for said in unlabelled)]):
        rows.append(JudgeRow(str(at), f"i{at}", ("x",), gold, {}, {}, {}))
        judged[str(at)] = Judged({"ab": [Verdict(str(at), said)]})
    return rows, judged


# Sensitivity 0.9, specificity 0.8.
KNOWN = [(1.0, 1.0)] * 90 + [(1.0, 0.0)] * 10 + [(0.0, 0.0)] * 80 + [(0.0, 1.0)] * 20


def test_a_known_error_is_taken_out() -> None:
    """(0.55 + 0.8 - 1) / (0.9 + 0.8 - 1) is one half, inside its interval."""
    found = corrected_pass_rate(*data(KNOWN, [1.0] * 220 + [0.0] * 180))
    assert found["observed"].value == pytest.approx(0.55)
    assert found["sensitivity"].value == pytest.approx(0.9)
    assert found["specificity"].value == pytest.approx(0.8)
    assert found["corrected"].value == pytest.approx(0.5)
    assert found["corrected"].low < 0.5 < found["corrected"].high
    assert found["corrected"].high - found["corrected"].low > 0.1
    assert (found["labelled"], found["unlabelled"]) == (200, 400)


def test_on_the_labelled_rows_alone_it_is_their_own_rate() -> None:
    """Without other rows the correction gives back what people said."""
    found = corrected_pass_rate(*data(KNOWN, []))
    assert found["corrected"].value == pytest.approx(0.5)


def test_a_judge_without_skill_corrects_nothing() -> None:
    """Sensitivity and specificity that add up to 1 or less say nothing of the true rate."""
    found = corrected_pass_rate(*data([(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)], []))
    assert found["corrected"].value is None
    assert "chance" in found["corrected"].why


def test_a_scale_needs_a_cut() -> None:
    """Scores of 1 to 5 pass from the score that is named; without one it is said."""
    rows = data([(5.0, 4.0), (4.0, 5.0), (1.0, 2.0), (2.0, 1.0)], [])
    assert corrected_pass_rate(*rows)["why"].startswith("name what passes")
    assert corrected_pass_rate(*rows, pass_at=4)["corrected"].value == pytest.approx(0.5)
