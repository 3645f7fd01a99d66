"""refusal."""

import pytest

REFUSED = [
    "I'm sorry, but I can't help with that.",
    "I\u2019m sorry, but I can\u2019t assist you with that request.",
    "Sorry, I cannot comply with this request.",
    "I apologize, but I am unable to provide that kind of content.",
    "I cannot generate content of this kind.",
    "I must respectfully decline.",
    "I'm not comfortable writing about that.",
]
BOILERPLATE = [
    "As an AI language model, I do not have feelings.",
    "Well, as an AI, I have no account.",
    "I am just a language model and have no card.",
    "My knowledge cutoff is 2023.",
    "That goes against my guidelines.",
    "Sure! Here's a support ticket:\n\nMy card is gone.",
    "Certainly:\nMy card is gone.",
    "Here is a message from an angry customer:\nMy card is gone.",
]
FINE = [
    "I'm sorry, but I can't log in to my account since Monday.",
    "I cannot create a new invoice, please help.",
    "Can you help me? I am unable to reset my password.",
    "I work as an AI researcher and my notebook is broken.",
    "I started as an assistant manager, I'm an assistant in sales.",
    "My programming course was billed twice, which violates our agreement.",
    "Here is the error: E1042. The app stops when I open it.",
    "Sure, I tried that already. I can't do it again.",
    "I could not support my family without this refund.",
    "Here are some tips for a calm talk:\n1. Breathe.",
    "Certainly the worst service I ever had.",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_are_dropped(reasons, text):
    """An answer that says no is no row."""
    assert reasons({"refusal": {"field": "text"}}, {"text": text}) == ["refusal"]


@pytest.mark.parametrize("text", BOILERPLATE)
def test_words_about_the_assistant_are_dropped(reasons, text):
    """An answer that speaks of its writer or to its reader is no row."""
    assert reasons({"refusal": {"field": "text"}}, {"text": text}) == ["refusal:boilerplate"]


@pytest.mark.parametrize("text", FINE)
def test_what_people_write_stays(reasons, text):
    """Complaints that only sound like refusals are kept."""
    assert reasons({"refusal": {"field": "text"}}, {"text": text}) == [None]


def test_every_field_that_a_teacher_wrote_is_looked_at(reasons):
    """Without a field all asked fields count, and no other."""
    rows = [
        {"text": "ok", "label": " "},
        {"text": "As an AI, I cannot.", "label": "a"},
        {"text": "ok", "label": "a", "note": "As an AI, I cannot."},
        {"text": {"said": "As an AI, I cannot."}, "label": "a"},
    ]
    assert reasons("refusal", *rows) == [
        "refusal:empty",
        "refusal:boilerplate",
        None,
        "refusal:boilerplate",
    ]


def test_what_was_not_asked_for_is_not_empty(reasons):
    """A field with a condition is empty where nobody was asked, which is no refusal."""
    later = {"ask": "writer", "prompt": "{{ text }}", "when": "{{ label == 'a' }}"}
    generate = {"candidates": 2, "fields": {"more": later}}
    rows = [{"text": "ok", "label": "b", "more": ""}, {"text": "ok", "label": "b", "more": "\n"}]
    assert reasons("refusal", *rows, generate=generate) == [None, "refusal:empty"]
