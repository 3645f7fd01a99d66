"""Free texts side by side: wins, ties and losses as a teacher judges both orders."""

import asyncio
import re

import pytest

from distill.evaluate.win_rate import judge_wins, win_figure
from teachers.protocol import Answer, Ask, Usage


class Grader:
    """Says that the longer response is better; `first` always takes A; `mute` says nothing."""

    name = "grader"

    def __init__(self, how="longer"):
        self.how = how
        self.asked = 0

    async def ask(self, ask: Ask) -> Answer:
        self.asked += 1
        shown = ask.messages[-1].content
        a, b = re.search(r"Response A:\n(.*?)\n\nResponse B:\n(.*?)\n", shown, re.S).groups()
        winner = "TIE" if len(a) == len(b) else "A" if len(a) > len(b) else "B"
        text = {"longer": winner, "first": "A", "mute": "hm"}[self.how]
        return Answer(text, "stop", Usage(5, 1), "grader")

    async def close(self) -> None:
        pass


def wins(answers, opponents, how="longer"):
    grader = Grader(how)
    return asyncio.run(judge_wins(grader, ["q"] * len(answers), answers, opponents)), grader


def test_wins_ties_and_losses():
    """The better text wins whichever order it comes in."""
    found, grader = wins(["a long one", "ab", "a"], ["short", "cd", "longer"])
    assert found == [1.0, 0.5, 0.0]
    assert grader.asked == 6


def test_a_judge_that_takes_the_first_makes_ties():
    """Orders that disagree decide nothing."""
    assert wins(["x", "y"], ["z", "w"], "first")[0] == [0.5, 0.5]


def test_no_answer_loses_without_asking():
    """A text against none is decided; none against none is a tie."""
    found, grader = wins([None, "x", ""], ["a", None, None])
    assert found == [0.0, 1.0, 0.5]
    assert grader.asked == 0


def test_what_the_judge_does_not_say_counts_for_nobody():
    """Unread verdicts are left out of n; with none left there is no figure and a reason."""
    assert wins(["x"], ["z"], "mute")[0] == [None]
    assert win_figure([None]).value is None
    figure = win_figure([1.0, 0.5, None])
    assert (figure.value, figure.n) == (pytest.approx(0.75), 2)
