"""Readers of judged rows: the shapes of other projects, guessed and named columns."""

import json

import pytest

from distill.errors import DataError
from distill.judge.rows import read_judge_data


def write(tmp_path, records, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("record", "gold", "instruction", "answers"),
    [
        ({"instruction": "q", "a": "x", "b": "y", "winner": "b"}, "b", "q", ("x", "y")),
        (
            {"idx": 3, "instruction": "q", "input": "i", "response1": "x", "response2": "y",
             "annotator1": 1, "annotator2": 1, "annotator3": 0},
            "a", "q\n\ni", ("x", "y"),
        ),
        ({"input": "q", "output_1": "x", "output_2": "y", "label": "2"}, "b", "q", ("x", "y")),
        (
            {"prompt": "q", "response 1": "x", "response 2": "y", "label": 1, "scenario": "code"},
            "b", "q", ("x", "y"),
        ),
        (
            {"pair_id": "p", "question": "q", "response_A": "x", "response_B": "y", "label": "A>B"},
            "a", "q", ("x", "y"),
        ),
        (
            {"question_body": "q", "answer1_body": "x", "answer2_body": "y", "score": [8, 6],
             "winner": [8, 6]},
            "a", "q", ("x", "y"),
        ),
        ({"prompt": "q", "chosen": "x", "rejected": "y"}, "a", "q", ("x", "y")),
        ({"Question": "q", "Response A": "x", "Response B": "y", "Winner": "Tie"}, "tie", "q",
         ("x", "y")),
        ({"query": "q", "answer-1": "x", "answer-2": "y", "label": "2"}, "b", "q", ("x", "y")),
        # Not Auto-J's columns, so 1 is the first.
        ({"query": "q", "response 1": "x", "response 2": "y", "label": 1}, "a", "q", ("x", "y")),
        (
            {"question_id": 81, "model_a": "m", "model_b": "n", "winner": "model_b",
             "conversation_a": "x", "conversation_b": "y"},
            "b", "", ("x", "y"),
        ),
        ({"instruction": "q", "response": "x", "score": 4}, 4, "q", ("x",)),
        (
            {"orig_instruction": "q", "orig_response": "x", "orig_score": "5",
             "instruction": "###Task ... q"},
            5, "q", ("x",),
        ),
    ],
)  # fmt: skip
def test_known_shapes_are_read(tmp_path, record, gold, instruction, answers):
    """PandaLM, LLMBar, Auto-J, JudgeBench, JudgeLM, RewardBench, Prometheus and our own."""
    data = read_judge_data(write(tmp_path, [record]))
    (row,) = data.rows
    assert (row.gold, row.instruction, row.answers) == (gold, instruction, answers)


def test_columns_can_be_named(tmp_path):
    """--map and --gold-columns go before every guess."""
    record = {"q": "how", "left": "x", "right": "y", "h1": "a", "h2": "b", "h3": "b", "winner": "a"}
    data = read_judge_data(
        write(tmp_path, [record]),
        mapping={"instruction": "q", "a": "left", "b": "right"},
        gold_columns=["h1", "h2", "h3"],
    )
    assert data.rows[0].gold == "b"
    assert data.rows[0].ratings == {"h1": "a", "h2": "b", "h3": "b"}


def test_a_row_without_majority_is_kept_without_gold(tmp_path):
    """It counts as left out later; it is no tie."""
    record = {"id": 1, "a": "x", "b": "y", "rater1": 1, "rater2": 2}
    assert read_judge_data(write(tmp_path, [record])).rows[0].gold is None


def test_every_bad_row_is_named(tmp_path):
    """All unreadable verdicts and double ids come at once, each with its line."""
    records = [
        {"id": "1", "a": "x", "b": "y", "winner": "best"},
        {"id": "2", "a": "x", "b": "y", "winner": "a"},
        {"id": "2", "a": "x", "b": "y", "winner": "b"},
    ]
    with pytest.raises(DataError) as caught:
        read_judge_data(write(tmp_path, records))
    assert [(p.line, p.found) for p in caught.value.problems] == [
        (1, '"best" names no winner'),
        (3, "the id '2' stands twice"),
    ]


@pytest.mark.parametrize(
    ("mapping", "found"),
    [
        ({"a": "nope", "b": "y"}, "there is no column 'nope'"),
        ({"left": "x"}, "--map knows no 'left'"),
        ({"a": "x"}, "--map names a and no b"),
        ({}, "there is neither a response nor a pair of them among x, y"),
    ],
)
def test_wrong_mappings_say_what_is_there(tmp_path, mapping, found):
    """A wrong column is refused with the columns that exist."""
    with pytest.raises(DataError) as caught:
        read_judge_data(write(tmp_path, [{"x": "1", "y": "2"}]), mapping=mapping)
    assert found in str(caught.value)


ABSOLUTE = """###Task Description:
An instruction, a response to evaluate, and a score rubric are given.

###The instruction to evaluate:
Name a town.

###Response to evaluate:
Ulm.
###Reference Answer (Score 5):
Ulm, on the Danube.

###Score Rubrics:
[Is it a town?]
Score 1: no
Score 5: yes

###Feedback: """
RELATIVE = """###Task Description: ...
###Instruction:
Name a town.

###Response A:
Ulm.

###Response B:
Rhine.

###Score Rubric:
[Is it a town?]

###Feedback: """


def test_prompts_of_prometheus_are_taken_apart(tmp_path):
    """Where a file holds nothing but prompt and answer, both are found inside."""
    record = {"instruction": ABSOLUTE, "output": "A town indeed. [RESULT] 4"}
    (row,) = read_judge_data(write(tmp_path, [record])).rows
    assert (row.instruction, row.answers, row.gold) == ("Name a town.", ("Ulm.",), 4)
    assert row.fields["reference"] == "Ulm, on the Danube."
    assert row.fields["rubric"].startswith("[Is it a town?]\nScore 1")
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": RELATIVE}]
    record = {"messages": turns, "output": "So. [RESULT] A"}
    (row,) = read_judge_data(write(tmp_path, [record])).rows
    assert (row.instruction, row.answers, row.gold) == ("Name a town.", ("Ulm.", "Rhine."), "a")


def test_rubrics_of_prometheus_are_kept_whole(tmp_path):
    """Criterion and levels become the rubric that a judge's prompt may name."""
    record = {
        "orig_instruction": "q", "orig_response": "r", "orig_score": "2", "orig_criteria": "c",
        "orig_score1_description": "bad", "orig_score2_description": "good",
        "orig_reference_answer": "ref", "output": "f [RESULT] 5",
    }  # fmt: skip
    (row,) = read_judge_data(write(tmp_path, [record])).rows
    assert row.gold == 2
    assert row.fields["rubric"] == {"criterion": "c", "levels": {"1": "bad", "2": "good"}}
    assert row.fields["reference"] == "ref"


def test_rows_that_share_a_question_are_told_apart(tmp_path):
    """A question that several pairs answer is no id; the place in the file is."""
    rows = [{"question_id": 7, "a": str(at), "b": "y", "winner": "a"} for at in range(3)]
    assert [row.id for row in read_judge_data(write(tmp_path, rows)).rows] == ["0", "1", "2"]


def test_data_without_verdicts_of_people_are_refused(tmp_path):
    """Nothing can be measured there; the columns are named."""
    with pytest.raises(DataError, match="no column of people's verdicts"):
        read_judge_data(write(tmp_path, [{"instruction": "q", "a": "x", "b": "y", "how": 1}]))


@pytest.mark.parametrize(("winners", "notes"), [((0, 1), 1), ((0, 1, 2), 0), (("0", "1"), 1)])
def test_winners_that_may_count_from_zero_are_pointed_out(tmp_path, winners, notes):
    """0 and 1 alone are read as tie and a, and it is said so."""
    rows = [{"a": "x", "b": "y", "winner": one} for one in winners]
    data = read_judge_data(write(tmp_path, rows))
    assert [row.gold for row in data.rows] == ["tie", "a", "b"][: len(winners)]
    assert len(data.notes) == notes
