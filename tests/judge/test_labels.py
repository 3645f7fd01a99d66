"""What files call a winner or a score."""

import pytest

from distill.judge.labels import AUTO_J_NUMBERS, Unreadable, majority, read_score, read_winner


@pytest.mark.parametrize(
    ("value", "winner"),
    [
        (1, "a"), (2, "b"), (0, "tie"), ("1", "a"), ("2.0", "b"), (1.5, "tie"),
        ("A", "a"), (" b ", "b"), ("Tie", "tie"), ("model_a", "a"), ("Response 2", "b"),
        ("A>B", "a"), ("B>>A", "b"), ("A=B", "tie"), ("[[C]]", "tie"), ([8, 6], "a"),
        ([5, 5], "tie"),
        ("TIE", "tie"), ("tie (inconsistent)", "tie"), ("Both bad", "tie"), ("[[A>>B]]", "a"),
        ("A > B", "a"), ("Output (b)", "b"), ("model_1", "a"), ("Assistant B", "b"), ("(2)", "b"),
        ("Response A is better.", "a"), ("**B**", "b"), (1.0000013, "a"), ("1.98", "b"),
        (["b", "b", "a"], "b"), (None, None), ("", None), ("n/a", None), (float("nan"), None),
    ],
)  # fmt: skip
def test_winners_in_the_words_of_many_files(value, winner):
    """Every common way to write a winner is read, and what is missing is missing."""
    assert read_winner(value) == winner


@pytest.mark.parametrize(
    "value", [3, "best", True, {"winner": "a"}, "a or b", -1, "11", "garbage", "1/2", "a1", 2.5]
)
def test_what_names_no_winner_is_refused(value):
    """Nothing is guessed: least of all a tie."""
    with pytest.raises(Unreadable):
        read_winner(value)


def test_auto_j_counts_from_zero():
    """Its files mean the first response by 0, the second by 1 and a tie by 2."""
    assert [read_winner(n, AUTO_J_NUMBERS) for n in (0, 1, 2)] == ["a", "b", "tie"]


def test_scores():
    """Numbers, also as text, and pass or fail are scores; a list counts by majority."""
    assert [read_score(v) for v in (4, "4.5", None, [3, 3, 5], [1, 2])] == [4, 4.5, None, 3, None]
    assert [read_score(v) for v in ("yes", "FAIL", True)] == [1, 0, 1]
    with pytest.raises(Unreadable):
        read_score("quite so")


def test_a_majority_is_more_than_half():
    """Two of four are none; missing ratings do not count."""
    assert majority(["a", "a", "b"]) == "a"
    assert majority(["a", "a", "b", "tie"]) is None
    assert majority(["a", None, None]) == "a"
    assert majority([None]) is None
