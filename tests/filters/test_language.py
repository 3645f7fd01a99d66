"""language."""

import sys

import pytest

from distill.errors import PrerequisiteError

TEXTS = [
    "I would like to cancel my card because it was stolen yesterday.",
    "Meine Karte funktioniert im Ausland leider nicht mehr.",
    "Je voudrais annuler ma carte parce qu'elle a été volée.",
    "12345 !!!",
]


def test_other_languages_go_by_name(sift):
    """The reason is the language found; text without words is in none."""
    rows = sift("language", *({"text": text} for text in TEXTS), {"label": "a"})
    assert [row.reason for row in rows] == [
        None,
        "language:de",
        "language:fr",
        "language:no_words",
        "language:missing_field",
    ]
    assert rows[0].verdicts[0].score > 0.9 > 0.1 > rows[1].score


def test_several_languages_or_one_word(reasons):
    """A list, or one code without a list."""
    two = {"language": {"languages": ["en", "de"]}}
    assert reasons(two, {"text": TEXTS[0]}, {"text": TEXTS[1]}) == [None, None]
    assert reasons({"language": {"languages": "fr"}}, {"text": TEXTS[2]}) == [None]


def test_a_text_too_short_to_tell_is_uncertain(reasons):
    """No language is probable enough, so none is named."""
    assert reasons({"language": {"min": 0.5}}, {"text": "ok"}) == ["language:uncertain"]


def test_without_the_extra_the_line_to_type_is_said(sift, monkeypatch):
    """The message is the exact command."""
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'distill-kit\[lang\]'"):
        sift("language", {"text": "x"})
