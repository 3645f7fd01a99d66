"""Filling one candidate: votes, companions, choices, schemas."""

import json
import math

import pytest

from teachers.errors import TeacherError
from teachers.protocol import Answer, Usage

TEXT = {"text": {"sample": ["the text"]}}


def by_sample(*answers):
    """Answers (or errors) by the ask's sample number."""
    return lambda ask: answers[ask.sample]


def test_votes_give_the_modal_answer_with_counts_and_share(make_recipe, generate, tools):
    """Three asks with sample numbers 0, 1, 2; the most frequent answer is the value."""
    field = {"ask": "t", "prompt": "{{ text }}", "votes": 3, "choices": "labels"}
    teacher = tools.Scribe(by_sample("b", "a", "a"), pace=0.01)
    [row] = generate(make_recipe(TEXT | {"label": field}, candidates=1), teacher).candidates
    assert row.fields == {
        "text": "the text", "label": "a", "label_votes": {"a": 2, "b": 1}, "label_p": 2 / 3
    }  # fmt: skip
    assert sorted(ask.sample for ask in teacher.asks) == [0, 1, 2]


def test_a_tie_goes_to_the_answer_of_the_lowest_sample(make_recipe, generate, tools):
    """Which answer arrived first makes no difference."""
    field = {"ask": "t", "prompt": "{{ text }}", "votes": 4, "choices": "labels"}
    for seed in range(5):
        teacher = tools.Scribe(by_sample("c", "a", "a", "c"), pace=0.01, seed=seed)
        [row] = generate(make_recipe(TEXT | {"label": field}, candidates=1), teacher).candidates
        assert row.fields["label"] == "c"


def test_votes_that_fail_are_left_out(make_recipe, generate, tools):
    """One working vote is enough; if all fail the row fails with the kind."""
    field = {"ask": "t", "prompt": "{{ text }}", "votes": 3, "choices": "labels"}
    recipe = make_recipe(TEXT | {"label": field}, candidates=1, max_failed=1)
    broken = TeacherError("timeout", "too slow")
    [row] = generate(recipe, tools.Scribe(by_sample(broken, "b", broken))).candidates
    assert (row.fields["label_votes"], row.fields["label_p"]) == ({"b": 1}, 1.0)
    [row] = generate(recipe, tools.Scribe(by_sample(broken, broken, broken))).candidates
    assert (row.status, row.reason, row.verdicts[0].by) == ("failed", "timeout", "label")
    assert dict(row.fields) == {"text": "the text"}


def test_one_vote_with_probabilities_records_the_answers_own(make_recipe, generate, tools):
    """NAME_p is exp(log-probability) of the answer where the teacher scores choices."""
    scored = Answer(
        "b", "stop", Usage(1, 1), "m", choice_logp={"a": math.log(0.3), "b": math.log(0.7)}
    )
    field = {"ask": "t", "prompt": "{{ text }}", "choices": ["a", "b"]}
    teacher = tools.Scribe(lambda ask: scored)
    [row] = generate(make_recipe(TEXT | {"label": field}, candidates=1), teacher).candidates
    assert row.fields["label_p"] == pytest.approx(0.7)
    assert row.fields["label_logp"] == {"a": math.log(0.3), "b": math.log(0.7)}
    assert "label_votes" not in row.fields


def test_a_schema_makes_the_value_the_parsed_object(make_recipe, generate, tools):
    """The schema goes with the ask; votes are counted on canonical JSON; broken JSON fails."""
    schema = {"type": "object"}
    field = {"ask": "t", "prompt": "{{ text }}", "schema": schema, "votes": 3}
    teacher = tools.Scribe(by_sample('{"b": 1, "a": 2}', ' {"a":2,"b":1}', '{"a": 1}'))
    [row] = generate(make_recipe(TEXT | {"out": field}, candidates=1), teacher).candidates
    assert row.fields["out"] == {"a": 2, "b": 1}
    assert row.fields["out_votes"] == {'{"a":1}': 1, '{"a":2,"b":1}': 2}
    assert teacher.asks[0].schema == schema
    recipe = make_recipe(TEXT | {"out": field | {"votes": 1}}, candidates=1, max_failed=1)
    [row] = generate(recipe, tools.Scribe(lambda ask: "none")).candidates
    assert (row.status, row.reason) == ("failed", "schema")


def test_truncated_answers_are_marked_and_white_space_is_kept_on_request(
    make_recipe, generate, tools
):
    """truncated: accept records how each answer ended; strip: false keeps it verbatim."""
    field = {
        "ask": "t",
        "prompt": "{{ text }}",
        "truncated": "accept",
        "strip": False,
        "max_tokens": 9,
    }
    teacher = tools.Scribe(lambda ask: Answer(" once upon ", "length", Usage(1, 9), "m"))
    [row] = generate(make_recipe(TEXT | {"out": field}, candidates=1), teacher).candidates
    assert (row.fields["out"], row.fields["out_finish"]) == (" once upon ", "length")
    assert (teacher.asks[0].allow_truncated, teacher.asks[0].max_tokens) == (True, 9)


def test_an_answer_outside_the_choices_fails_the_row(make_recipe, generate, tools):
    """Whatever an adapter lets through, a field holds one of its choices."""
    field = {"ask": "t", "prompt": "{{ text }}", "choices": "label"}
    recipe = make_recipe(TEXT | {"label": field}, candidates=1, max_failed=1)
    [row] = generate(recipe, tools.Scribe(lambda ask: "purple")).candidates
    assert (row.status, row.reason) == ("failed", "parse")


def test_prompts_see_earlier_fields_and_their_companions_and_no_remade_column(
    make_recipe, generate, tools
):
    """A pool column that a field asks for anew is dropped before any prompt is rendered."""
    fields = {
        "label": {"ask": "t", "prompt": "{{ text }} {{ label is defined }}", "choices": "labels"},
        "note": {"ask": "t", "prompt": "{{ label }} {{ label_id }}"},
    }
    pool = [{"text": 'x {{ y }} \u05d0 🙂 "q"', "label": "secret", "label_id": 7}]
    recipe = make_recipe(fields, files={"p.jsonl": pool}, data={"pool": "p.jsonl"})
    teacher = tools.Scribe(lambda ask: "a" if ask.choices else json.dumps(ask.sample))
    [row] = generate(recipe, teacher).candidates
    assert [ask.messages[-1].content for ask in teacher.asks] == [
        'x {{ y }} \u05d0 🙂 "q" False',
        "a 7",
    ]
    assert list(row.fields) == ["text", "label_id", "label", "note"]
