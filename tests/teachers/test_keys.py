import dataclasses
from typing import get_args

import pytest
from pydantic import BaseModel

from teachers import Ask, Message, ask_key, user
from teachers.config import (
    CustomTeacher,
    LocalTeacher,
    OpenAITeacher,
    Price,
    ScriptedTeacher,
    ScriptRule,
    TeacherConfig,
)
from teachers.keys import EXCLUDED, INCLUDED, canonical

OPENAI = OpenAITeacher(kind="openai", model="m")
LOCAL = LocalTeacher(kind="local", model="m")
SCRIPTED = ScriptedTeacher(kind="scripted")
CUSTOM = CustomTeacher(kind="custom", factory="a:b")
ASK = Ask(messages=user("hi"))

CHANGES = [
    (OPENAI, {"model": "other"}),
    (OPENAI, {"identity": "tune-2"}),
    (OPENAI, {"chat": False}),
    (OPENAI, {"system": "Be brief."}),
    (OPENAI, {"temperature": 0.5}),
    (OPENAI, {"top_p": 0.5}),
    (OPENAI, {"max_tokens": 7}),
    (OPENAI, {"stop": ["\n"]}),
    (OPENAI, {"params": {"top_k": 5}}),
    (OPENAI, {"logprobs": 3}),
    (OPENAI, {"constrained": False}),
    (LOCAL, {"revision": "abc"}),
    (LOCAL, {"dtype": "float32"}),
    (LOCAL, {"quantize": "4bit"}),
    (LOCAL, {"model": None, "recipe": "r.yaml"}),
    (SCRIPTED, {"script": [ScriptRule(answers=["a"])]}),
    (SCRIPTED, {"choices": ["a"]}),
    (SCRIPTED, {"wrong": 0.1}),
    (SCRIPTED, {"refuse": 0.1}),
    (SCRIPTED, {"malformed": 0.1}),
    (CUSTOM, {"factory": "a:c"}),
    (CUSTOM, {"options": {"x": 1}}),
]
NO_CHANGES = [
    (OPENAI, {"concurrency": 99}),
    (OPENAI, {"rpm": 5}),
    (OPENAI, {"tpm": 5}),
    (OPENAI, {"price": Price(input=1, output=2)}),
    (OPENAI, {"timeout_s": 1.0}),
    (OPENAI, {"warm_up_s": 1.0}),
    (OPENAI, {"mode": "batch"}),
    (OPENAI, {"batch_tokens": 9}),
    (OPENAI, {"base_url": "http://elsewhere/v1"}),
    (OPENAI, {"api_key_env": "MY_KEY"}),
    (OPENAI, {"headers_env": {"x-org": "MY_ORG"}}),
    (LOCAL, {"device_map": "auto"}),
    (LOCAL, {"trust_remote_code": True}),
    (SCRIPTED, {"latency_s": 0.5}),
]
ASK_CHANGES = [
    {"messages": user("ho")},
    {"messages": (Message("assistant", "hi"),)},
    {"sample": 1},
    {"choices": ("a", "b")},
    {"schema": {"type": "object"}},
    {"top_logprobs": 2},
    {"max_tokens": 9},
]


@pytest.mark.parametrize(("config", "change"), CHANGES)
def test_included_setting_changes_the_key(config, change):
    """Every setting of the first table makes another key."""
    assert ask_key(config, ASK) != ask_key(config.model_copy(update=change), ASK)


@pytest.mark.parametrize(("config", "change"), NO_CHANGES)
def test_excluded_setting_keeps_the_key(config, change):
    """Every setting of the second table leaves the key alone."""
    assert ask_key(config, ASK) == ask_key(config.model_copy(update=change), ASK)


@pytest.mark.parametrize("change", ASK_CHANGES)
def test_ask_decides_the_key(change):
    """Every part of an ask makes another key."""
    assert ask_key(OPENAI, ASK) != ask_key(OPENAI, dataclasses.replace(ASK, **change))


def test_allow_truncated_keeps_the_key():
    """Whether a cut answer is wanted is no part of the question."""
    asked = dataclasses.replace(ASK, allow_truncated=True)
    assert ask_key(OPENAI, ASK) == ask_key(OPENAI, asked)


def test_attempt_changes_the_key():
    """A corrective re-ask is kept under a key of its own."""
    assert len({ask_key(OPENAI, ASK, attempt) for attempt in range(3)}) == 3


def test_tables_cover_every_setting_and_the_cases_above_cover_the_tables():
    """A new setting has to be put in one table and shown here."""
    union = get_args(get_args(TeacherConfig)[0])
    assert all(issubclass(kind, BaseModel) for kind in union)
    settings = {name for kind in union for name in kind.model_fields}
    assert settings == INCLUDED | EXCLUDED.keys()
    assert not INCLUDED & EXCLUDED.keys()
    assert {name for _, change in CHANGES for name in change} == INCLUDED - {"kind"}
    assert {name for _, change in NO_CHANGES for name in change} == EXCLUDED.keys()


def test_whole_floats_equal_integers():
    """1 and 1.0 ask the same; true and 1 do not."""
    assert canonical({"a": [1.0, 2.5]}) == {"a": [1, 2.5]}
    one = OPENAI.model_copy(update={"params": {"x": 1}})
    same = OPENAI.model_copy(update={"params": {"x": 1.0}})
    true = OPENAI.model_copy(update={"params": {"x": True}})
    assert ask_key(one, ASK) == ask_key(same, ASK) != ask_key(true, ASK)


def test_key_is_stable():
    """The key of a plain ask never changes by accident: it would throw every store away."""
    assert ask_key(SCRIPTED, Ask(messages=user('naïve 🙂 \ud800 {}"'))) == (
        "fa74192fb383c3f6ba045ac424921f5396630e9d40cb167bbfdbe61f6081bcc2"
    )
