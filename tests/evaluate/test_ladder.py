"""The rungs below training: prompts around the task's own, examples, actions, passages, tests."""

import asyncio
from typing import Any

import pytest

from distill.evaluate.ladder import (
    ChainOfThought,
    FewShot,
    WithPassages,
    choose_examples,
    with_passages,
)
from distill.evaluate.react import react_rows
from distill.evaluate.rungs import compared_rungs, pairs_of
from distill.evaluate.verbatim import Reuse, reused, verbatim_figure
from distill.recipe.prompts import TaskPrompt
from distill.recipe.strategies.react import listed_tools, step_text
from distill.recipe.task import ClassifyTask, GroundedTask, JudgePairwiseTask
from distill.recipe.templates import Template
from teachers.protocol import Answer, Ask, Message, Usage

TASK = ClassifyTask(kind="classify", labels=["yes", "no"])
PLAIN = TaskPrompt(TASK, Template("Is {{ input }} red? ", "t"))
EXAMPLES = tuple(PLAIN.conversation({"text": text, "label": label})
                 for text, label in (("blood", "yes"), ("grass", "no")))  # fmt: skip


def test_examples_are_turns_or_one_text() -> None:
    """A model that knows turns gets earlier ones; another gets texts with a blank line between."""
    turns = FewShot(TASK, PLAIN.template, EXAMPLES, turns=True).ask_messages({"text": "sky"})
    assert [(turn.role, turn.content) for turn in turns] == [
        ("user", "Is blood red? "), ("assistant", "yes"), ("user", "Is grass red? "),
        ("assistant", "no"), ("user", "Is sky red? "),
    ]  # fmt: skip
    [text] = FewShot(TASK, PLAIN.template, EXAMPLES, turns=False).ask_messages({"text": "sky"})
    assert text.content == "Is blood red? yes\n\nIs grass red? no\n\nIs sky red? "
    bare = TaskPrompt(TASK, Template("{{ input }}", "t"))
    shown = (bare.conversation({"text": "blood", "label": "yes"}),)
    [text] = FewShot(TASK, bare.template, shown, turns=False).ask_messages({"text": "sky"})
    assert text.content == "blood\nyes\n\nsky\n"


def test_a_system_message_stays_in_front() -> None:
    """Once, before the examples."""
    task = TASK.model_copy(update={"system": "Be brief."})
    turns = FewShot(task, PLAIN.template, EXAMPLES, turns=True).ask_messages({"text": "sky"})
    assert [turn.role for turn in turns].count("system") == 1
    assert turns[0] == Message("system", "Be brief.")


def test_steps_are_asked_for_in_the_way_of_the_task() -> None:
    """Labels behind a mark; a judge has its own last line already."""
    [turn] = ChainOfThought(TASK, PLAIN.template).ask_messages({"text": "sky"})
    assert "step by step" in turn.content
    assert "`Answer: `" in turn.content
    judge = JudgePairwiseTask(kind="judge_pairwise")
    [turn] = ChainOfThought(judge, Template("{{ a }} {{ b }}", "t")).ask_messages({"a": 1, "b": 2})
    assert "Answer:" not in turn.content


def test_passages_stand_before_the_question_or_in_the_tasks_own_place() -> None:
    """A grounded prompt shows passages itself; every other one gets them in front."""
    rows = [{"text": "sky"}]
    found = with_passages(TASK, rows, lambda question: [f"about {question}"])
    [turn] = WithPassages(TASK, PLAIN.template).ask_messages(found[0])
    assert turn.content.endswith("[1] about sky\n\nIs sky red? ")
    grounded = GroundedTask(kind="grounded")
    found = with_passages(grounded, [{"question": "q", "passages": ["old"]}], lambda _: ["new"])
    assert found == [{"question": "q", "passages": ["new"]}]


def test_examples_are_level_by_label_and_nested() -> None:
    """Two of four are the first two of four; labels come in turn; another seed draws others."""
    rows = [(f"r{at}", {"label": "yes" if at < 16 else "no"}) for at in range(20)]

    def label(row: Any) -> Any:
        return row["label"]

    four = choose_examples(rows, label, 4, seed=1)
    assert sorted(row["label"] for _, row in four) == ["no", "no", "yes", "yes"]
    assert choose_examples(rows, label, 2, seed=1) == four[:2]
    assert choose_examples(rows, label, 4, seed=2) != four
    assert len(choose_examples(rows, label, 99, seed=1)) == 20


class Script:
    """Says one text after the other, and keeps what it was asked."""

    name = "script"

    def __init__(self, *says: str) -> None:
        self.says, self.asked = list(says), list[str]()

    async def ask(self, ask: Ask) -> Answer:
        self.asked.append(ask.messages[-1].content)
        return Answer(self.says[len(self.asked) - 1], "stop", Usage(7, 3), "s", cost_usd=0.5)

    async def close(self) -> None:
        pass


async def act(text: str, fields: Any) -> str:
    return f"found {fields['text']}" if "search[" in text else ""


def climb(teacher: Script, steps: int = 3) -> Any:
    rows = react_rows(teacher, PLAIN, [{"text": "sky"}], act, "search[...]", steps=steps)
    return asyncio.run(rows)[0]


def test_actions_are_carried_out_and_the_end_is_the_answer() -> None:
    """What an action gave back is in the next prompt, not what the model made up behind it."""
    teacher = Script(
        "Thought: look\nAction: search[sky]\nObservation: a lie", "Thought: ok\nAction: finish[No.]"
    )
    found = climb(teacher)
    assert (found.text, found.failed) == ("no", None)
    assert (found.input_tokens, found.output_tokens, found.cost_usd) == (14, 6, 1.0)
    assert "Observation: found sky\n" in teacher.asked[1]
    assert "a lie" not in teacher.asked[1]
    assert found.wrote.count("Observation") == 1


def test_no_end_is_no_answer() -> None:
    """Steps run out, or the answer is no label: wrong, and said why."""
    found = climb(Script("Action: search[a]", "Action: search[b]"), steps=2)
    assert (found.text, found.failed) == (None, "parse")
    teacher = Script("Action: search[a]", "finish[perhaps]")
    assert climb(teacher, steps=2).text is None
    assert "last step" in teacher.asked[1]
    assert "last step" not in teacher.asked[0]


def test_a_question_that_looks_like_a_template_stays_text() -> None:
    """Nothing that a row holds is filled in."""
    text = step_text("{{ TRACE }} TOOLS {% if LAST %}", "search", "did that\n", last=False)
    assert text.startswith("{{ TRACE }} TOOLS {% if LAST %}")
    assert text.count("did that") == 1
    assert listed_tools({"calculate": "calculator"}).startswith("calculate[...] (the value")


def test_rungs_are_compared_with_the_student_and_with_the_one_below() -> None:
    """Exact tests on right and wrong, adjusted together; one model under two names counts once."""
    names = ["teacher", "student", "student_before", "zero_shot", "few_shot_8", "few_shot_2"]
    pairs = pairs_of(names)
    assert ("student_before", "student") in pairs
    assert ("teacher", "student") in pairs
    assert ("few_shot_2", "few_shot_8") in pairs
    assert ("student_before", "few_shot_2") in pairs
    assert not any("zero_shot" in pair for pair in pairs)
    scores = {"student": [1.0] * 12, "few_shot_2": [0.0] * 10 + [1.0] * 2, "teacher": [1.0] * 12}
    found = {(one["a"], one["b"]): one for one in compared_rungs(scores, "gold")}
    test = found["few_shot_2", "student"]
    assert test["test"] == "mcnemar"
    assert test["p"] == pytest.approx(2 / 2**10)
    assert test["difference"]["value"] == pytest.approx(10 / 12)
    assert test["p_adjusted"] >= test["p"]
    assert found["teacher", "student"]["p"] is None
    assert compared_rungs({"majority": [1.0]}, "gold") == []


def test_thirteen_words_in_a_row_are_reuse() -> None:
    """Twelve are not; a short text that stands whole is not either; no answer is left out."""
    words = [f"w{at}" for at in range(20)]
    trained = Reuse([" ".join(words), "five words stand here whole"])
    answers = [
        f"x {' '.join(words[3:16])} y",
        f"x {' '.join(words[3:15])} y",
        "he said five words stand here whole",
        None,
    ]
    assert reused(answers, trained) == [True, False, False, None]
    shown = " ".join(f"e{at}" for at in range(13))
    assert reused([shown.upper()], trained, [shown]) == [True]
    figure = verbatim_figure([True, False, None])
    assert (figure.value, figure.n) == (0.5, 2)
    assert verbatim_figure([None]).value is None
