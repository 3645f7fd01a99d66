"""Grounded answers: right, cited, and silent where the passages are."""

import asyncio
from typing import Any

import pytest

from distill.evaluate.grounded import (
    answer_score,
    citations,
    grounded_figures,
    holding,
    judge_faithfulness,
)
from distill.recipe.rubrics import read_rubric
from distill.recipe.task import GroundedTask
from teachers.protocol import Answer, Ask, Usage

TASK = GroundedTask(kind="grounded")
PASSAGES = ["The Rhine is 1,233 km long.", {"title": "Main", "text": "It flows into the Rhine."}]
ROW = {"question": "How long is the Rhine?", "passages": PASSAGES}


@pytest.mark.parametrize(
    ("answer", "truth", "want"),
    [
        ("The 1,233 km. [1]", "1,233 km", (True, 1.0)),
        ("1,233 km long [1]", "1,233 km", (False, 0.8571)),
        ("about a mile", "1,233 km", (False, 0.0)),
        ("Paris", ["Berlin", "paris"], (True, 1.0)),
        ("The passages do not say.", None, (True, 1.0)),
        ("The passages do not say.", "1,233 km", (False, 0.0)),
        ("1,233 km", "The passages do not say.", (False, 0.0)),
        ("The passages do not say. It may be long.", "", (True, 1.0)),
        (None, None, (False, 0.0)),
        ("", "1,233 km", (False, 0.0)),
    ],
)
def test_answers_are_compared_without_what_does_not_count(
    answer: str | None, truth: Any, want: tuple[bool, float]
) -> None:
    """Articles, case, marks and citations do not count; abstaining is right where gold abstains."""
    found = answer_score(TASK, answer, truth)
    assert found[0] is want[0]
    assert found[1] == pytest.approx(want[1], abs=1e-4)


def test_citations_are_read_in_the_usual_forms() -> None:
    """Single, listed and repeated; years in brackets are numbers like any other."""
    assert citations("a [1] b [2, 3][3] c [ 4;5 ] d [x] e []") == {1, 2, 3, 4, 5}


def test_what_holds_the_answer_is_cited_by_gold_or_found_by_its_words() -> None:
    """Gold's own citation, else the words of its answer, also among other passages."""
    assert holding(TASK, "It is long [2]", ROW, ROW) == {2}
    assert holding(TASK, "1,233 km", ROW, ROW) == {1}
    assert holding(TASK, "no such words", ROW, ROW) is None
    assert holding(TASK, None, ROW, ROW) == set()
    other = {"passages": ["else", PASSAGES[1], PASSAGES[0]]}
    assert holding(TASK, "It is long [1]", ROW, other) == {3}
    assert holding(TASK, "It is long [9]", ROW, ROW) is None


def test_figures_of_a_set() -> None:
    """Precision and recall over all citations; abstention is the share of right decisions."""
    answers = ["1,233 km [1]", "1,233 km [1][2]", "The passages do not say.", None, "many [7]"]
    gold = ["1,233 km [1]", "1,233 km", "1,233 km", "1,233 km", None]
    found = grounded_figures(TASK, answers, gold, [ROW] * 5)
    assert found["exact"].value == pytest.approx(2 / 5)
    assert found["token_f1"].value == pytest.approx(2 / 5)
    assert found["citation_precision"].value == pytest.approx(2 / 4)
    assert found["citation_recall"].value == pytest.approx(2 / 4)
    assert found["abstention"].value == pytest.approx(2 / 5)
    assert found["faithful"].value is None
    assert "evaluate.judge" in (found["faithful"].why or "")
    judged = grounded_figures(TASK, answers, gold, [ROW] * 5, faithful=[True, False, None, None, 1])
    assert (judged["faithful"].value, judged["faithful"].n) == (pytest.approx(2 / 3), 3)


def test_nothing_known_and_nothing_cited_say_why() -> None:
    """No row whose passage is known, and answers without a citation, are no figures."""
    found = grounded_figures(TASK, ["x"], ["no such words"], [ROW])
    assert "which passage" in (found["citation_recall"].why or "")
    found = grounded_figures(TASK, ["x"], ["1,233 km"], [ROW])
    assert "cites" in (found["citation_precision"].why or "")
    assert found["citation_recall"].value == 0


def test_a_teacher_judges_faithfulness_from_the_passages() -> None:
    """4 and 5 of 5 are faithful; rows without an answer, a passage or a verdict are not judged."""
    rubric = read_rubric("---\nscale: {min: 1, max: 5}\n---\nIs it in the context?", "r")

    class Grader:
        name = "grader"

        async def ask(self, ask: Ask) -> Answer:
            shown = ask.messages[-1].content
            assert "[1] The Rhine" in shown
            assert "Is it in the context?" in shown
            text = {"good": "5", "fair": "4", "bad": "3"}[shown.split("Response:\n")[1].split()[0]]
            return Answer(text, "stop", Usage(5, 1), "grader")

        async def close(self) -> None:
            pass

    answers = ["good", "fair", "bad", None, "good"]
    passages = [["The Rhine."]] * 4 + [[]]
    asked = judge_faithfulness(Grader(), rubric, ["q"] * 5, answers, passages)
    assert asyncio.run(asked) == [True, True, False, None, None]
