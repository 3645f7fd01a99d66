import dataclasses

import pytest

from teachers import Answer, Message, TeacherError, Usage, user
from teachers.check import check_answer, corrected, without_corrections

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ANSWER = Answer("x", "stop", Usage(1, 1), "m")


@pytest.mark.parametrize(
    ("text", "kind"),
    [('{"n": 1', "parse"), ("[1, 2]", "schema"), ('{"n": "one"}', "schema"), ("[" * 9999, "parse")],
)
def test_schema_failures(question, text, kind):
    """Broken JSON and JSON of another shape are two kinds of failure, and carry the answer."""
    answer = dataclasses.replace(ANSWER, text=text)
    with pytest.raises(TeacherError) as caught:
        check_answer(question(schema=SCHEMA), answer)
    assert caught.value.kind == kind
    assert caught.value.answer is answer


def test_schema_takes_a_code_fence_off(question):
    """JSON inside a Markdown fence is taken without the fence."""
    answer = dataclasses.replace(ANSWER, text='```json\n{"n": 1}\n```')
    assert check_answer(question(schema=SCHEMA), answer).text == '{"n": 1}'


def test_wrong_schema_is_the_users_mistake(question):
    """A schema that is none, or that points elsewhere, is reported as such; nothing is fetched."""
    for schema in ({"type": "nonsense"}, {"$ref": "http://127.0.0.1:9/schema.json"}):
        with pytest.raises(TeacherError) as caught:
            check_answer(question(schema=schema), dataclasses.replace(ANSWER, text="{}"))
        assert caught.value.kind == "user_code"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"finish": "length"}, "truncated"),
        ({"finish": "content_filter"}, "content_filter"),
        ({"text": " \n"}, "empty"),
    ],
)
def test_finish_and_emptiness(question, change, kind):
    """Cut, filtered and empty answers are failures."""
    with pytest.raises(TeacherError) as caught:
        check_answer(question(), dataclasses.replace(ANSWER, **change))
    assert caught.value.kind == kind


def test_truncated_where_allowed(question):
    """A cut answer is taken by an ask that allows it."""
    cut = dataclasses.replace(ANSWER, finish="length")
    assert check_answer(question(allow_truncated=True), cut) == cut


def test_correction_names_what_is_allowed_and_comes_off_again(question):
    """A corrective re-ask shows the answer and the rule; the question can be found behind it."""
    ask = question("Which?", choices=("a", "b"))
    twice = corrected(corrected(ask, "maybe a", ""), "or b", "")
    assert twice.messages[1] == Message("assistant", "maybe a")
    assert "a | b" in twice.messages[-1].content
    assert without_corrections(twice.messages) == user("Which?")


@pytest.mark.parametrize(
    ("text", "number"),
    [("4", "4"), ("4/5", "4"), ("Score: 4 out of 5.", "4"), ("```\n-2.5\n```", "-2.5")],
)
def test_a_number_is_read_out_of_its_words(question, text, number):
    """Where a number was asked for, the only one in the answer is the answer."""
    ask = question(schema={"type": "number"})
    assert check_answer(ask, dataclasses.replace(ANSWER, text=text)).text == number


def test_two_numbers_are_none(question):
    """Which of them was meant is not guessed."""
    ask = question(schema={"type": "integer"})
    with pytest.raises(TeacherError, match="not JSON"):
        check_answer(ask, dataclasses.replace(ANSWER, text="between 3 and 4"))


def test_json_in_the_only_fence_is_taken(question):
    """Words around one code block do not make an answer unusable."""
    answer = dataclasses.replace(ANSWER, text='Here:\n```json\n{"n": 1}\n```\nBye.')
    assert check_answer(question(schema=SCHEMA), answer).text == '{"n": 1}'
