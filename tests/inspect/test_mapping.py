"""What each column is taken for."""

import pytest

from distill.errors import UsageError
from distill.inspect.inspect import Options, inspect_rows
from distill.inspect.mapping import guess_columns, rater_families
from distill.inspect.view import View

TURNS = [{"role": "user", "content": "hi there"}, {"role": "assistant", "content": "yes"}]


@pytest.mark.parametrize(
    ("row", "shape", "asked", "answer"),
    [
        ({"text": "where is it now", "category": "a"}, "classification", "text", "category"),
        ({"column1": "where is it now", "column2": "a"}, "classification", "column1", "column2"),
        ({"question": "how many are there", "answer": "They are many"}, "instruction",
         "question", "answer"),
        ({"prompt": "say it again", "chosen": "a b", "rejected": "b c"}, "preference",
         "prompt", None),
        ({"problem": "how many are there", "final": "There are many more"}, "instruction",
         "problem", "final"),
        ({"english": "this is a good day to go", "german": "das ist ein guter Tag zu gehen"},
         "instruction", "english", "german"),
        ({"text": "a story of old", "author": "Ann Lee"}, "text", "text", None),
        ({"a": 3, "b": 4}, "table", None, None),
        ({"messages": TURNS}, "chat", None, None),
        ({"text": "a story of old"}, "text", "text", None),
        ({"url": "http://a.example/x", "n": 3}, "table", None, None),
    ],
)  # fmt: skip
def test_shapes(row, shape, asked, answer):
    """The shape is guessed from names and values."""
    rows = [
        {name: f"{v} {n}" if isinstance(v, str) and " " in v else v for name, v in row.items()}
        for n in range(12)
    ]
    found = guess_columns(rows, {})
    assert (found.shape, found.input, found.output) == (shape, asked, answer)


def test_conversations_that_end_with_a_label(items_of):
    """Fields beside the messages are used; without them short answers are the labels."""
    rows = [
        {"messages": [{"role": "user", "content": f"Label this: some text {n}"},
                      {"role": "assistant", "content": "ab"[n % 2]}],
         "text": f"some text {n}", "label": "ab"[n % 2], "topic": "xyz"[n % 3]}
        for n in range(30)
    ]  # fmt: skip
    found = guess_columns(rows, {})
    assert (found.shape, found.input, found.output) == ("classification", "text", "label")
    bare = [{"messages": row["messages"]} for row in rows]
    found = inspect_rows(items_of(*bare), Options())
    assert found["mapping"]["shape"] == "chat"
    assert found["labels"]["counts"] == {"a": 15, "b": 15}
    other = [{"messages": row["messages"], "topic": row["topic"]} for row in rows]
    assert guess_columns(other, {}).shape == "chat"


def test_the_winner_of_a_pair_is_its_label():
    """A topic that stands before it is not."""
    rows = [
        {"instruction": f"tell me of thing {n}", "topic": "ab"[n % 2], "a": f"it is {n} so",
         "b": f"it was {n} so", "winner": ("a", "b", "tie")[n % 3]}
        for n in range(12)
    ]  # fmt: skip
    found = guess_columns(rows, {})
    assert (found.shape, found.output) == ("preference", "winner")
    assert (found.chosen, found.rejected) == ("a", "b")


def test_preferences_that_hold_their_prompt(items_of):
    """As messages, or as one text, the prompt is read from what both sides begin with."""
    asked = [f"how do I get to place {n}" for n in range(9)]
    turns = [
        {side: [{"role": "user", "content": q}, {"role": "assistant", "content": side}]
         for side in ("chosen", "rejected")}
        for q in asked
    ]  # fmt: skip
    text = [
        {side: f"\n\nHuman: {q}\n\nAssistant: {side}" for side in ("chosen", "rejected")}
        for q in asked
    ]
    for rows in (turns, text):
        items = items_of(*rows)
        view = View(items, guess_columns([item.fields for item in items], {}))
        assert all(q in seen for q, seen in zip(asked, view.inputs, strict=True))
        assert view.answers == (["chosen"] * 9, ["rejected"] * 9)


def test_the_user_wins():
    """--map takes any column for input and output; unknown ones are refused."""
    rows = [{"a": f"some text {n}", "b": f"other text {n}", "y": n % 2} for n in range(9)]
    found = guess_columns(rows, {"input": "b", "output": "y"})
    assert (found.shape, found.input, found.output, found.guessed) == (
        "classification", "b", "y", (),
    )  # fmt: skip
    for bad in ({"input": "nosuch"}, {"nosuch": "a"}):
        with pytest.raises(UsageError, match="nosuch"):
            guess_columns(rows, bad)


def test_rater_columns_are_guessed_by_name():
    """annotator, rater or worker and a number; fields before or after it are told apart."""
    names = ["text", "annotator1", "annotator2", "rater_1_tone", "rater_2_tone", "worker_id"]
    assert rater_families(names) == {
        "label": ("annotator1", "annotator2"), "tone": ("rater_1_tone", "rater_2_tone"),
    }  # fmt: skip
    assert rater_families(["Worker 1", "worker-2", "fact_rater1", "fact_rater2"]) == {
        "label": ("Worker 1", "worker-2"), "fact": ("fact_rater1", "fact_rater2"),
    }  # fmt: skip
    assert rater_families(["annotator1"]) == {}
