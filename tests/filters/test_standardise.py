"""standardise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.filters.standardise import standardised

ALL = frozenset(("fence", "quotes", "markdown", "html"))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("  two   words \r\n\r\n\r\n\r\nmore\u00a0text  ", "two words\n\nmore text"),
        ("```json\n{\"b\": 1, \"a\": [1,  2]}\n```", '{"a":[1,2],"b":1}'),
        ('"A whole answer."', "A whole answer."),
        ('"One" and "two"', '"One" and "two"'),
        ("zero\u200bwidth \ufeffmarks\x07", "zerowidth marks"),
        ("def f():\n    return  1", "def f():\n    return 1"),
        ("{not json", "{not json"),
        ("# Title\n\nSome **bold** and *soft* `code`, a [link](http://x.y)",
         "Title\n\nSome bold and soft code, a link"),
        ("<p>5 &lt; 6</p>", "5 < 6"),
        ("snake_case_name and 2 * 3 * 4", "snake_case_name and 2 * 3 * 4"),
        ("\u0928\u093e\u200d\u0928", "\u0928\u093e\u200d\u0928"),
    ],
)  # fmt: skip
def test_one_form(text, plain):
    """White space, invisible characters, wrappers and marks go; words, code and scripts stay."""
    assert standardised(text, ALL) == plain


def test_rows_are_rewritten_and_empty_ones_dropped(sift):
    """The new text goes on; labels that need nothing and values that are no text stay as given."""
    rows = sift(
        "standardise",
        {"text": " Hi   there ", "label": "a"},
        {"text": "``` \n```", "label": "a"},
        {"text": "fine", "label": {"b": 1}},
        {"other": 1},
    )
    assert [row.reason for row in rows] == [None, "standardise:empty", None, None]
    assert rows[0].fields == {"text": "Hi there", "label": "a"}
    assert [row.score for row in rows[:1]] == [None]
    assert rows[0].verdicts[0].score == 1.0
    assert rows[2].fields == {"text": "fine", "label": {"b": 1}}


def test_named_fields_are_needed_and_options_chosen(sift):
    """A named field that is missing drops the row; marks are stripped on demand only."""
    filter = {"standardise": {"fields": ["text"], "strip": ["markdown"]}}
    bold, missing = sift(filter, {"text": '"**b**"'}, {"label": "a"})
    assert bold.fields["text"] == '"b"'
    assert missing.reason == "standardise:missing_field"
    [plain] = sift("standardise", {"text": "**b**", "label": "a"})
    assert plain.fields["text"] == "**b**"


@settings(deadline=None)
@given(st.text(alphabet=" \n\t\"'`ab{}[]:,1\u00a0\u200b", max_size=30))
def test_what_was_given_twice_comes_out_the_same(text):
    """Without the marks of Markdown and HTML, standardising again changes nothing more."""
    once = standardised(text, frozenset())
    assert standardised(once, frozenset()) == once
