"""Reading a verdict from what a judge wrote: from its end, on the scale, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.judge.parse import parse_verdict

STARS = ("1", "2", "3", "4", "5")
PAIR = ("a", "b", "tie")


@pytest.mark.parametrize(
    ("text", "scale", "value", "feedback"),
    [
        ("Good, but short.\nVERDICT: 4", STARS, "4", "Good, but short."),
        ("Fine.\n**VERDICT:** 5", STARS, "5", "Fine."),
        ("Fine.\nVerdict: 4.0\n", STARS, "4", "Fine."),
        ("Fine. [RESULT] 3", STARS, None, "Fine. [RESULT] 3"),
        ("Fine.\n[RESULT] 3", STARS, "3", "Fine."),
        ("A is better.\nVERDICT: A", PAIR, "a", "A is better."),
        ("Alike.\nVERDICT: TIE.", PAIR, "tie", "Alike."),
        ('{"feedback": "so", "score": 2}', STARS, "2", "so"),
        ('```json\n{"feedback": "so", "verdict": "B"}\n```', PAIR, "b", "so"),
        ("4", STARS, "4", ""),
        ("It says VERDICT: 5\nbut no.\nVERDICT: 1", STARS, "1", "It says VERDICT: 5\nbut no."),
        ("VERDICT: 1\nVERDICT: 9", STARS, None, "VERDICT: 1"),
        ("VERDICT: 10", STARS, None, ""),
        ("I would give it a 4 out of 5.", STARS, None, "I would give it a 4 out of 5."),
        ("VERDICT: A or B", PAIR, None, "VERDICT: A or B"),
        ("VERDICT:", STARS, None, "VERDICT:"),
        ("", STARS, None, ""),
        ('{"score": true}', STARS, None, ""),
    ],
)
def test_verdicts(text, scale, value, feedback):
    """The last verdict line decides; what is not on the scale is no verdict."""
    found = parse_verdict(text, scale)
    assert (found.value, found.feedback) == (value, feedback)


@given(st.text(), st.sampled_from([STARS, PAIR, ("pass", "fail")]))
def test_any_text_gives_a_value_of_the_scale_or_none(text, scale):
    """Whatever is written, nothing but a value of the scale comes out, and nothing is raised."""
    assert parse_verdict(text, scale).value in (*scale, None)


@given(st.text(), st.sampled_from(STARS))
def test_a_verdict_at_the_end_is_found_behind_any_text(text, value):
    """An answer quoted in the feedback cannot dictate the verdict."""
    assert parse_verdict(f"{text}\nVERDICT: {value}", STARS).value == value


def test_a_very_long_text_is_read_from_its_end():
    """Megabytes of feedback cost no more than their end."""
    assert parse_verdict("VERDICT: 1\n" + "x " * 2_000_000 + "\nVERDICT: 3", STARS).value == "3"
