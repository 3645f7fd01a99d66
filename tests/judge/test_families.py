"""Whose answers a judge takes, by the family of the model that wrote them."""

import pytest

from distill.judge.families import family_of, family_preferences
from distill.judge.rows import JudgeData, JudgeRow
from distill.judge.systems import writers_of


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4-1106-preview", "gpt"),
        ("text-davinci-003", "gpt"),
        ("o1-mini", "gpt"),
        ("meta-llama/Llama-2-70b-chat", "llama"),
        ("vicuna-13b-v1.3", "llama"),
        ("Mixtral-8x7B", "mistral"),
        ("claude_2", "claude"),
        ("bloom-7b", "bloom"),
        ("  ", None),
        (None, None),
    ],
)
def test_families_of_names(name, family):
    """By what a name holds, else by the letters that it begins with."""
    assert family_of(name) == family


def rows(columns, pairs, gold):
    return [
        JudgeRow(str(at), "q", ("x", "y"), gold[at], {}, {}, dict(zip(columns, pair, strict=True)))
        for at, pair in enumerate(pairs)
    ]


def preferences(pairs, judge):
    """With the columns of writers as they are found where nobody names them."""
    return family_preferences(pairs, judge, writers_of(JudgeData("pairwise", pairs, {}, []), pairs))


@pytest.mark.parametrize(
    "columns",
    [("model_a", "model_b"), ("Model 1", "model 2"), ("answer_a_model", "answer_b_model"),
     ("generator_1_name", "generator_2_name")],
)  # fmt: skip
def test_own_answers_are_taken_more_often(columns):
    """Twelve pairs: the judge always takes gpt, people do half of the time; ties count nowhere."""
    pairs = [("gpt-4", "claude-v1"), ("claude-v1", "gpt-4")] * 6
    pairs += [("gpt-4", "gpt-3.5"), ("gpt-4", "bloom")]
    gold = ["a", "a"] * 6 + ["a", "tie"]
    judge = ["a", "b"] * 6 + ["a", "a"]
    [claude, gpt] = preferences(rows(columns, pairs, gold), judge)
    assert (gpt["family"], gpt["n"], gpt["judge"].value, gpt["people"].value) == ("gpt", 12, 1, 0.5)
    assert (gpt["difference"], claude["difference"]) == (0.5, -0.5)


def test_files_that_name_no_writer():
    """Nothing is said, which is not that nothing was found."""
    assert preferences(rows(("category", "b"), [("x", "y")], ["a"]), ["a"]) is None
    few = rows(("model_a", "model_b"), [("gpt-4", "claude")], ["a"])
    assert preferences(few, ["a"]) == []
