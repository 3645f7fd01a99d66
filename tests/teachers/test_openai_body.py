import math

import pytest

from teachers import Ask, ConfigError, Message, OpenAITeacher, TeacherError, TokenLogprob, user
from teachers.openai_body import Wants, check_params, choice_logp, read_answer, request_body

CHAT = OpenAITeacher(kind="openai", model="m", base_url="http://h/v1")
RAW = CHAT.model_copy(update={"chat": False})
ASK = Ask(messages=user("hi"))


def body(config, ask, *, openai=False, limited=None):
    return request_body(config, ask, Wants(openai=openai, limited=limited))


def answered(text="yes", **more):
    choice = {"message": {"content": text}, "text": text, "finish_reason": "stop", **more}
    return {"model": "served", "choices": [choice], "usage": {"prompt_tokens": 3}}


def test_nothing_is_sent_that_nobody_asked_for():
    """A plain ask has five fields, which every server knows; OpenAI's own gets three."""
    assert body(CHAT, ASK) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 512,
        "temperature": 1.0,
        "top_p": 1.0,
    }
    own = body(CHAT, ASK, openai=True, limited="max_completion_tokens")
    assert set(own) == {"model", "messages", "max_completion_tokens"}


def test_everything_asked_for_is_sent():
    """Settings, the ask's own limit, schema, log-probabilities and params all reach the server."""
    config = CHAT.model_copy(
        update={"system": "S", "stop": ["."], "logprobs": 2, "params": {"top_k": 5, "seed": 10}}
    )
    asked = Ask(messages=user("hi"), sample=3, schema={"type": "object"}, max_tokens=9)
    sent = body(config, asked)
    assert sent["messages"][0] == {"role": "system", "content": "S"}
    assert (sent["stop"], sent["max_tokens"], sent["top_k"]) == (["."], 9, 5)
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 2)
    assert sent["seed"] == 13
    assert sent["response_format"]["json_schema"]["strict"] is False


def test_raw_prompt():
    """A raw completion sends one text, with the number of alternatives in `logprobs`."""
    config = RAW.model_copy(update={"system": "S"})
    sent = body(config, Ask(messages=user("hi"), top_logprobs=4))
    assert (sent["prompt"], sent["logprobs"]) == ("S\n\nhi", 4)
    assert "messages" not in sent


def test_two_system_messages_become_one():
    """The teacher's system message and the ask's own travel as one."""
    config = CHAT.model_copy(update={"system": "S"})
    sent = body(config, Ask(messages=user("hi", system="T")))
    assert [turn["content"] for turn in sent["messages"]] == ["S\n\nT", "hi"]


@pytest.mark.parametrize("name", ["max_tokens", "n", "stream", "messages"])
def test_params_cannot_go_past_a_setting(name):
    """A param that would break the cap or the store is a mistake in the recipe."""
    with pytest.raises(ConfigError, match=f"params.{name}"):
        check_params(CHAT.model_copy(update={"params": {name: 1}}))


def test_reads_an_answer():
    """Text, finish, usage, model and reasoning are taken apart."""
    found = answered()
    found["choices"][0]["message"]["reasoning_content"] = "hmm"
    found["choices"][0]["finish_reason"] = "length"
    found["usage"] = {"prompt_tokens": 3, "completion_tokens": 4}
    answer = read_answer(CHAT, ASK, found)
    assert (answer.text, answer.finish, answer.reasoning) == ("yes", "length", "hmm")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 4)
    assert answer.model == "served"


def test_missing_usage_is_counted_at_its_most():
    """A server that counts no tokens is assumed to have used as many as it can have."""
    answer = read_answer(CHAT, ASK, {"choices": [{"message": {"content": "four"}}]})
    assert answer.usage.input_tokens >= len("hi")
    assert answer.usage.output_tokens == 5


def test_half_a_surrogate_pair_is_replaced():
    """Text that cannot be written as UTF-8 does not reach the store."""
    assert read_answer(CHAT, ASK, answered("a\ud800b")).text == "a?b"


@pytest.mark.parametrize(
    "found",
    ["text", None, [], {}, {"choices": []}, {"choices": [None]}, {"choices": [{"message": "x"}]}],
)
def test_bodies_that_are_no_answer(found):
    """Anything else than an answer is a broken connection, tried again and perhaps billed."""
    with pytest.raises(TeacherError) as caught:
        read_answer(CHAT, ASK, found)
    assert (caught.value.kind, caught.value.maybe_billed) == ("network", True)


def test_error_inside_an_ok():
    """An error in the body of a 200 is an error."""
    with pytest.raises(TeacherError, match="overloaded") as caught:
        read_answer(CHAT, ASK, {"error": {"message": "overloaded"}})
    assert caught.value.kind == "server"


def test_choices_are_matched():
    """The choice comes back verbatim; a text that is none fails and carries the answer."""
    asked = Ask(messages=user("hi"), choices=("yes", "no"))
    assert read_answer(CHAT, asked, answered("**Yes.**")).text == "yes"
    with pytest.raises(TeacherError) as caught:
        read_answer(CHAT, asked, answered("maybe"))
    assert caught.value.kind == "parse"
    assert caught.value.answer.text == "maybe"


LOGPROBS = {
    "content": [
        {
            "token": "yes",
            "logprob": -0.2,
            "top_logprobs": [{"token": "yes", "logprob": -0.2}, {"token": "no", "logprob": -1.8}],
        }
    ]
}


def test_token_probabilities_of_chat():
    """The chat form is read, and gives the choices' distribution where each is one token."""
    asked = Ask(messages=user("hi"), choices=("yes", "no"), top_logprobs=2)
    answer = read_answer(CHAT, asked, answered(logprobs=LOGPROBS))
    assert answer.logprobs == (TokenLogprob("yes", -0.2, (("yes", -0.2), ("no", -1.8))),)
    total = math.exp(-0.2) + math.exp(-1.8)
    assert answer.choice_logp["no"] == pytest.approx(-1.8 - math.log(total))
    assert sum(map(math.exp, answer.choice_logp.values())) == pytest.approx(1)


def test_token_probabilities_of_raw_completions():
    """The older form is read too; minus infinity becomes the API's own lowest value."""
    shape = {
        "tokens": ["a", "b"],
        "token_logprobs": [-0.5, float("-inf")],
        "top_logprobs": [{"a": -0.5, "c": -2.0}, None],
    }
    answer = read_answer(RAW, Ask(messages=user("hi"), top_logprobs=2), answered(logprobs=shape))
    assert answer.logprobs == (
        TokenLogprob("a", -0.5, (("a", -0.5), ("c", -2.0))),
        TokenLogprob("b", -9999.0),
    )


def test_ignored_request_for_probabilities_is_said():
    """A server that keeps silent about log-probabilities is found out, but only when asked."""
    assert read_answer(CHAT, ASK, answered(logprobs=None)).logprobs is None
    with pytest.raises(TeacherError, match="ignores logprobs") as caught:
        read_answer(CHAT, Ask(messages=user("hi"), top_logprobs=2), answered(logprobs=None))
    assert caught.value.kind == "bad_request"


@pytest.mark.parametrize(
    "tokens",
    [
        (TokenLogprob("yes", -0.2, (("yes", -0.2),)),),
        (TokenLogprob("y", -0.2, (("y", -0.2),)), TokenLogprob("es", -0.1)),
        (TokenLogprob("yes", -0.1, (("no", -2.0),)), TokenLogprob(" sir", -0.1)),
    ],
)
def test_no_distribution_where_it_would_be_a_guess(tokens):
    """A choice not seen, in several tokens or with words behind it gives no distribution."""
    assert choice_logp(("yes", "no"), tokens) is None


def test_assistant_turns_are_sent_as_they_stand():
    """A conversation keeps its roles."""
    turns = (*user("hi"), Message("assistant", "ho"), *user("and?"))
    roles = [turn["role"] for turn in body(CHAT, Ask(messages=turns))["messages"]]
    assert roles == ["user", "assistant", "user"]
