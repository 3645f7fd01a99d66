"""judge."""

import asyncio

import pytest

from distill.errors import RecipeError, RunError

NUMBERS = "---\nscale: {min: 1, max: 5}\n---\nIs it **real**? Write {{ braces }} as they are.\n"
WORDS = "---\nscale: [poor, fair, good]\n---\nIs it real?\n"
RULES = (
    {"when": "apple", "answers": ["4"]},
    {"when": "pear", "answers": ["Grade: 2"]},
    {"when": "plum", "answers": ["5", "2", "2"]},
    {"when": "fig", "answers": ["fair"]},
)


def rows_of(*words):
    """One row about each word."""
    return [{"text": f"an {word} a day", "label": "a"} for word in words]


def test_low_scores_go_and_scores_are_kept(sift, teachers):
    """The grade is compared with min; the row and the rubric are what the teacher sees."""
    big = teachers(*RULES)
    filter = {"judge": {"ask": "big", "rubric": NUMBERS, "min": 4}}
    rows = sift(filter, *rows_of("apple", "pear"), {"text": "x"}, teachers=big)
    assert [row.reason for row in rows] == [None, "judge:low_score", "judge:missing_field"]
    assert [row.score for row in rows[:2]] == [4, 2]
    [shown, _] = [ask.messages[-1].content for ask in big["big"].asked]
    assert "Is it **real**? Write {{ braces }} as they are." in shown
    assert "<text>\nan apple a day\n</text>" in shown
    assert big["big"].asked[0].choices == ("1", "2", "3", "4", "5")


def test_votes_are_averaged(sift, teachers):
    """Each vote is a sample of its own, and the mean is the score."""
    big = teachers(*RULES)
    [row] = sift(
        {"judge": {"ask": "big", "rubric": NUMBERS, "min": 3, "votes": 3}},
        *rows_of("plum"),
        teachers=big,
    )
    assert [ask.sample for ask in big["big"].asked] == [0, 1, 2]
    said = [asyncio.run(big["big"].teacher.ask(ask)).text for ask in big["big"].asked]
    assert set(said) == {"5", "2"}
    assert row.score == sum(map(float, said)) / 3


def test_a_scale_of_words_and_a_file(sift, teachers, tmp_path):
    """Words count from 1, min may be one of them, and other fields may be shown."""
    (tmp_path / "real.md").write_text(WORDS)

    def run(least):
        options = {"ask": "big", "rubric": "real.md", "min": least, "fields": ["text"]}
        [row] = sift(
            {"judge": options}, {"text": "fig"}, teachers=teachers(*RULES), source=tmp_path
        )
        return row.reason, row.score

    assert run("fair") == (None, 2)
    assert run("good") == ("judge:low_score", 2)


def test_min_off_the_scale_is_refused(sift, teachers):
    """The message names the steps."""
    with pytest.raises(RecipeError, match=r"off the scale .*1, 2, 3, 4, 5"):
        sift({"judge": {"ask": "big", "rubric": NUMBERS, "min": 9}}, teachers=teachers())
    with pytest.raises(RecipeError, match="no teacher 'big'"):
        sift({"judge": {"ask": "big", "rubric": NUMBERS, "min": 4}})


def test_rows_without_a_grade_are_told_apart(sift, teachers):
    """One answer that is no grade drops its row as unanswered; many end the run."""
    rule = {"when": "mango", "answers": ["no idea"]}
    filter = {"judge": {"ask": "big", "rubric": NUMBERS, "min": 4}}
    one = sift(filter, *rows_of("apple", "mango"), teachers=teachers(rule, *RULES))
    assert [row.reason for row in one] == [None, "judge:unanswered"]
    many = rows_of(*["mango"] * 30)
    with pytest.raises(RunError, match="30 of the first 30 asks of the filter judge failed"):
        sift(filter, *many, teachers=teachers(rule))


@pytest.mark.parametrize(
    "rubric",
    [
        "no front matter\n",
        "---\nscale: 5\n---\ntext\n",
        "---\nscale: {min: 5, max: 1}\n---\ntext\n",
        "---\nscale: [one]\n---\ntext\n",
        "---\nscale: [a, a]\n---\ntext\n",
        "---\nscale: [\n---\ntext\n",
        "---\nscale: {min: 1, max: 5}\n---\n  \n",
    ],
)
def test_rubrics_that_are_none(sift, teachers, rubric):
    """Each is refused before anything is asked."""
    big = teachers(*RULES)
    with pytest.raises(RecipeError, match=r"rubric|front matter"):
        sift({"judge": {"ask": "big", "rubric": rubric, "min": 1}}, teachers=big)
    assert big["big"].asked == []
