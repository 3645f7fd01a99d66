"""What each column is taken for."""

import pytest

from distill.errors import UsageError
from distill.inspect.mapping import guess_columns, rater_families

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
