"""Judge tasks: both orders, one parser, gold in people's words, figures of CONTRACT section 6."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from distill.errors import DataError
from distill.evaluate.answers import Answered
from distill.evaluate.asking import ask_task
from distill.evaluate.judging import (
    constant_verdicts,
    gold_value,
    longer_verdicts,
    passport_metrics,
    passport_of,
    verdict_text,
)
from distill.evaluate.metrics import Price
from distill.evaluate.predict import predict_rows
from distill.evaluate.stage import SystemResult, combine, measure
from distill.recipe.defaults import STUDENT_PROMPTS
from distill.recipe.prompts import TaskPrompt
from distill.recipe.task import JudgeAbsoluteTask, JudgePairwiseTask, Scale
from distill.recipe.templates import Template
from distill.report.model import check_report, empty_report
from teachers.protocol import Answer, Ask, Usage

PAIRS = JudgePairwiseTask(kind="judge_pairwise")
SCORES = JudgeAbsoluteTask(kind="judge_absolute")
GOLD = [
    {"id": "r1", "instruction": "one", "a": "good", "b": "bad bad", "winner": "a"},
    {"id": "r2", "instruction": "two", "a": "bad", "b": "good good", "winner": "B"},
    {"id": "r3", "instruction": "three", "a": "bad", "b": "bad", "winner": "tie"},
    {"id": "r4", "instruction": "four", "a": "good", "b": "bad bad bad", "winner": 1},
]


@dataclass
class Rule:
    """Answers by a function of the prompt."""

    say: Callable[[str], str]
    name: str = "rule"
    asked: int = 0

    async def ask(self, ask: Ask) -> Answer:
        self.asked += 1
        text = self.say(ask.messages[-1].content)
        return Answer(text, "stop", Usage(10, 2), "rule", cost_usd=0.001)

    async def close(self) -> None:
        pass


def prompt_of(task: JudgePairwiseTask | JudgeAbsoluteTask) -> TaskPrompt:
    return TaskPrompt(task, Template(STUDENT_PROMPTS[task.kind], "judge"))


def first_is_good(text: str) -> str:
    """Right wherever one answer is good; takes the first one where neither is."""
    second = text.split("Response B:")[1]
    return "Because.\nVERDICT: " + ("B" if second.strip().startswith("good") else "A")


def judged(say: Callable[[str], str], rows: list[dict[str, Any]] = GOLD) -> list[Answered]:
    return asyncio.run(ask_task(Rule(say), prompt_of(PAIRS), rows))


def test_a_pair_is_asked_in_both_orders_and_measured() -> None:
    """Verdicts are about content; a flip is a tie, leans to a place, and counts for each order."""
    answers = judged(first_is_good)
    assert [answer.text for answer in answers] == ["a", "b", "tie", "a"]
    assert [answer.input_tokens for answer in answers] == [20] * 4
    assert answers[0].cost_usd == pytest.approx(0.002)
    passport = passport_of(PAIRS, answers, GOLD)
    result = SystemResult("student", answers, seconds=2.0, price=Price(1, 2), passport=passport)
    found = measure(PAIRS, result, ["a", "b", "tie", "a"])
    assert found["accuracy"].value == found["accuracy_failures_wrong"].value == 1
    assert found["order_ab"].value == found["order_ba"].value == pytest.approx(3 / 4)
    assert found["both_right"].value == found["consistency"].value == pytest.approx(3 / 4)
    assert (found["position"].value, found["position"].n) == (1.0, 1)
    assert passport.figures["position"]["first"] == 1
    assert found["tokens_per_row"].value == 24
    assert found["rows_per_s"].value == pytest.approx(2)
    assert found["cost_per_1000"].value == pytest.approx(0.028)
    combined = combine({"gold": {"student": [found, found]}})
    report = empty_report("x", "y") | {"metrics": combined.metrics, "metrics_on": "gold"}
    check_report(report)
    assert combined.metrics is not None
    assert combined.metrics["student"]["kappa"]["value"] == 1


def test_what_cannot_be_read_is_wrong_and_no_tie() -> None:
    """A judge that answers nothing readable has no accuracy, and 0 with failures as wrong."""
    answers = judged(lambda _: "They are much alike.")
    assert [answer.text for answer in answers] == [None] * 4
    assert {answer.failed for answer in answers} == {"parse"}
    found = passport_metrics(passport_of(PAIRS, answers, GOLD))
    assert found["accuracy"].value is None
    assert found["accuracy_failures_wrong"].value == found["parsed"].value == 0
    assert found["both_right"].value == 0
    assert found["position"].value is None


def test_scores_have_the_figures_of_scores() -> None:
    """An absolute judge gets correlations and distances; a judge that is right gets 1 and 0."""
    rows = [
        {"instruction": f"i{at}", "response": "x" * at, "score": 1 + at % 5, "rubric": "length"}
        for at in range(10)
    ]
    by_length = {"x" * at: 1 + at % 5 for at in range(10)}

    def say(text: str) -> str:
        shown = text.split("Response:\n")[1].split("\n")[0]
        return f"Fine.\nVERDICT: {by_length[shown]}"

    answers = asyncio.run(ask_task(Rule(say), prompt_of(SCORES), rows))
    assert [answer.text for answer in answers] == [str(row["score"]) for row in rows]
    assert answers[0].wrote == "Fine.\nVERDICT: 1"
    found = passport_metrics(passport_of(SCORES, answers, rows))
    one = {"accuracy", "pearson", "spearman", "kendall", "kappa_quadratic", "exact", "within_1"}
    assert {name: found[name].value for name in one} == pytest.approx(dict.fromkeys(one, 1))
    assert found["mae"].value == 0
    assert "both_right" not in found


@pytest.mark.parametrize(
    ("task", "value", "want"),
    [
        (PAIRS, "A", "a"),
        (PAIRS, 2, "b"),
        (PAIRS, 0, "tie"),
        (PAIRS, "", None),
        (SCORES, "4", 4.0),
        (SCORES, 3.5, 3.5),
        (SCORES, None, None),
        (JudgeAbsoluteTask(kind="judge_absolute", scale=["fail", "pass"]), "Pass", 1.0),
        (JudgeAbsoluteTask(kind="judge_absolute", scale=["poor", "fair", "fine"]), "fair", 1.0),
    ],
)
def test_gold_is_read_in_peoples_words(task: Any, value: Any, want: Any) -> None:
    """Numbers, capitals, pass and fail, named levels; a missing verdict is none."""
    assert gold_value(task, value) == want


def test_a_value_off_the_scale_is_refused_and_texts_come_back() -> None:
    """A word that is no level is an error; a number is written as its scale writes it."""
    named = JudgeAbsoluteTask(kind="judge_absolute", scale=["poor", "fair", "fine"])
    with pytest.raises(DataError, match="scale"):
        gold_value(named, "great")
    with pytest.raises(DataError, match="winner"):
        gold_value(PAIRS, "the blue one")
    assert verdict_text(named, 2.0) == "fine"
    assert verdict_text(SCORES.model_copy(update={"scale": Scale(min=0, max=10)}), 10.0) == "10"


def test_free_baselines_take_the_commonest_and_the_longer() -> None:
    """The constant of train, both orders alike; more characters win, equal length is a tie."""
    assert [one.text for one in constant_verdicts(PAIRS, ["b", "B", "a"], GOLD)] == ["b"] * 4
    longer = longer_verdicts(PAIRS, GOLD)
    assert [one.text for one in longer] == ["b", "b", "tie", "b"]
    found = passport_metrics(passport_of(PAIRS, longer, GOLD))
    assert found["accuracy"].value == pytest.approx(2 / 4)
    assert found["consistency"].value == 1
    scores = constant_verdicts(SCORES, ["4", 4, "2"], [{"response": "x"}])
    assert scores[0].text == "4"
    with pytest.raises(DataError, match="training row"):
        constant_verdicts(SCORES, [], [{}])


def test_rows_under_a_rubric_that_was_not_trained_on_stand_apart() -> None:
    """Slices say whether a rubric was seen; people's several verdicts give the human line."""
    rubrics = [{"criterion": "Kind?"}, "Correct?"]
    rows: list[Mapping[str, Any]] = [
        {**row, "rubric": rubrics[at % 2], "annotator1": row["winner"], "annotator2": row["winner"]}
        for at, row in enumerate(GOLD)
    ]
    answers = judged(first_is_good, [dict(row) for row in rows])
    passport = passport_of(PAIRS, answers, rows, seen=frozenset({"kind?"}))
    slices = {(one["slice"], one["value"]): one["n"] for one in passport.figures["slices"]}
    assert slices["rubric_seen", "no"] == slices["rubric_seen", "yes"] == 2
    assert slices["rubric", "Kind?"] == 2
    assert passport.figures["reference_lines"]["human_human"].value == 1


def test_predicting_gives_the_verdict_and_what_was_written() -> None:
    """A judge's prediction is its verdict; its feedback stands beside it."""
    found = asyncio.run(predict_rows(Rule(first_is_good), prompt_of(PAIRS), GOLD[:1]))
    assert found[0]["answer"] == "a"
    assert found[0]["parsed"] is True
    assert found[0]["wrote"].count("VERDICT") == 2


def test_a_constrained_judge_is_asked_for_nothing_but_the_scale() -> None:
    """Choices at once, and their probabilities are the judge's."""

    class Chooser(Rule):
        async def ask(self, ask: Ask) -> Answer:
            assert ask.choices == ("A", "B", "TIE")
            text = "A" if ask.messages[-1].content.split("Response A:\n")[1][0] == "g" else "B"
            other = "B" if text == "A" else "A"
            logp = {text: -0.105, other: -3.0, "TIE": -3.0}
            return Answer(text, "stop", Usage(5, 1), "rule", choice_logp=logp)

    rows = [GOLD[0], GOLD[3]]
    teacher = Chooser(first_is_good)
    found = asyncio.run(ask_task(teacher, prompt_of(PAIRS), rows, constrained=True))
    assert [one.text for one in found] == ["a", "a"]
    assert found[0].p == pytest.approx(0.9, abs=1e-3)
    metrics = passport_metrics(passport_of(PAIRS, found, rows))
    assert metrics["ece"].value == pytest.approx(0.1, abs=1e-3)
