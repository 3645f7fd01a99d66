import pytest

from teachers.choices import match_choice

LABELS = ("billing", "bug", "not a bug", "how_to")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("billing", "billing"),
        (" billing\n", "billing"),
        ('"Billing".', "billing"),
        ("**how to**", "how_to"),
        ("The label is: billing", "billing"),
        ("It is not a bug.", "not a bug"),
        ("billing or bug", None),
        ("debugging", None),
        ("", None),
        ("something else", None),
        ("Category: HOW_TO!", "how_to"),
    ],
)
def test_match(text, expected):
    """One choice is found by its words; none or several fail."""
    assert match_choice(text, LABELS) == expected


def test_single_letters_need_their_case():
    """The article "a" is not the choice A."""
    assert match_choice("a better answer is B", ("A", "B")) == "B"
    assert match_choice("b", ("A", "B")) == "B"


def test_choices_of_punctuation():
    """Choices without a letter match as they stand."""
    assert match_choice(" + ", ("+", "-")) == "+"
    assert match_choice("?", ("+", "-")) is None
