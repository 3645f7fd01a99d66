import asyncio
import json
import math

import jsonschema
import pytest

from teachers import ScriptedTeacher, ScriptRule, TeacherError, Usage, build_adapter, user
from teachers.check import corrected
from teachers.scripted.rules import REFUSAL, answer, raw_answer

LABELS = ("billing", "bug", "how_to")


def config(**fields):
    return ScriptedTeacher(kind="scripted", **fields)


def test_rules_come_first_and_fill_groups(question):
    """The first rule that matches the last message answers, with its groups filled in."""
    script = [
        ScriptRule(when=r"order (?P<n>\d+)", answers=['{"order": {n}, "same": {1}}']),
        ScriptRule(answers=["anything else"]),
    ]
    assert (
        answer(config(script=script), question("my order 42?")).text == '{"order": 42, "same": 42}'
    )
    assert answer(config(script=script), question("hello")).text == "anything else"


def test_choice_named_at_the_end(question):
    """Without a rule the last part of the text names the choice."""
    asked = question("Labels: billing, bug, how_to\n\nHow to export?", choices=LABELS)
    assert answer(config(), asked).text == "how_to"


def test_choice_by_hash_is_spread(question):
    """Without any hint the hash picks, over all choices."""
    texts = {answer(config(), question(f"{n}", choices=LABELS)).text for n in range(50)}
    assert texts == set(LABELS)


def test_sentences_differ_with_prompt_and_sample(question):
    """Free text is made of the prompt's words, the same each time, another for each sample."""
    asked = question("Write about rivers, mountains and valleys")
    assert answer(config(), asked) == answer(config(), asked)
    texts = {answer(config(), question("rivers mountains", sample=n)).text for n in range(10)}
    assert len(texts) > 5


def test_shares_are_what_the_configuration_says(question):
    """Wrong, refused and malformed answers come at their rates and exclude each other."""
    spoilt = config(wrong=0.15, refuse=0.02, malformed=0.02)
    outcomes = [
        raw_answer(spoilt, question(f"row {n}\n\nbug", choices=LABELS)) for n in range(4000)
    ]
    counts = {name: sum(kind == name for _, kind in outcomes) for name in ("wrong", "refused")}
    assert 0.13 < counts["wrong"] / 4000 < 0.17
    assert 0.013 < counts["refused"] / 4000 < 0.028
    assert all(found.text != "bug" for found, kind in outcomes if kind == "wrong")
    assert {found.text for found, kind in outcomes if kind == "refused"} == {REFUSAL}


def test_refusal_is_no_choice(question):
    """In process a refusal fails as parse, as it does over HTTP, and carries its answer."""
    with pytest.raises(TeacherError) as caught:
        answer(config(refuse=1.0), question(choices=LABELS))
    assert (caught.value.kind, caught.value.answer.text) == ("parse", REFUSAL)


def test_reminder_does_not_hide_the_question(question):
    """Asked again with a reminder that names all choices, the rules still see the question."""
    asked = corrected(question("Labels\n\nI found a bug", choices=LABELS), "???", "")
    assert answer(config(), asked).text == "bug"


@pytest.mark.parametrize("malformed", [0.0, 1.0])
def test_schema(question, malformed):
    """A schema is filled, or broken on demand."""
    schema = {
        "type": "object",
        "properties": {
            "label": {"enum": list(LABELS)},
            "score": {"type": "integer", "minimum": 1, "maximum": 5},
            "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "ok": {"type": "boolean"},
        },
        "required": ["label", "score", "tags", "ok"],
    }
    text = answer(config(malformed=malformed), question(schema=schema)).text
    if malformed:
        with pytest.raises(json.JSONDecodeError):
            json.loads(text)
    else:
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("top", [1, 3, 20])
def test_token_probabilities_sum_to_at_most_one(question, top):
    """Every token has its probability and alternatives, best first, with something left over."""
    found = answer(config(), question("Write about rivers", top_logprobs=top))
    assert "".join(item.token for item in found.logprobs) == found.text
    for item in found.logprobs:
        masses = [math.exp(logp) for _, logp in item.top]
        assert masses == sorted(masses, reverse=True)
        assert sum(masses) < 1
        assert item.top[0] == (item.token, item.logp)


def test_choice_probabilities(question):
    """The right choice has what is not spent on being wrong."""
    found = answer(config(wrong=0.3), question("\n\nbug", choices=LABELS, top_logprobs=5))
    assert sum(map(math.exp, found.choice_logp.values())) == pytest.approx(1)
    assert math.exp(found.choice_logp["bug"]) == pytest.approx(0.7)
    assert len(found.logprobs) == 1


def test_limits_cut(question):
    """The token limit and the stop text cut as a server's would."""
    cut = answer(config(max_tokens=3), question("Write about rivers"))
    assert (cut.finish, cut.usage.output_tokens) == ("length", 3)
    whole = answer(config(script=[ScriptRule(answers=["one. two"])], stop=["."]), question())
    assert (whole.text, whole.finish) == ("one", "stop")


def test_input_is_counted_within_its_bound(question):
    """It never counts more input tokens than the gateway reserves."""
    text = "héllo wörld {}\n\n🙂🙂 " * 50
    used = answer(config(), question(text)).usage
    assert isinstance(used, Usage)
    assert used.input_tokens <= len(text.encode()) + 64


def test_latency(question):
    """The adapter waits as long as it is told."""

    async def main():
        loop = asyncio.get_running_loop()
        start = loop.time()
        teacher = build_adapter(config(latency_s=0.05), "t")
        await teacher.ask(question())
        await teacher.close()
        return loop.time() - start

    assert asyncio.run(main()) >= 0.05


def test_system_message_counts(question):
    """The teacher's system message is part of what decides."""
    asked = question("rivers mountains valleys")
    assert answer(config(), asked) != answer(config(system="Be odd."), asked)
    assert user("a", system="S")[0].role == "system"
