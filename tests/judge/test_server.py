"""The served judge: three endpoints behind a token, on this machine's own names only."""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from distill.judge.form import JudgeForm
from distill.judge.judge import Judge
from distill.judge.server import judge_application
from distill.recipe.prompts import TaskPrompt
from distill.recipe.task import JudgePairwiseTask
from distill.recipe.templates import Template
from teachers.config import ScriptedTeacher, ScriptRule
from teachers.scripted import ScriptedAdapter

TOKEN = "t0ken"
AUTH = {"Authorization": f"Bearer {TOKEN}"}
PAIR = {"instruction": "q", "a": "bad", "b": "GOOD"}


def pair_judge():
    script = [
        ScriptRule(when="A:GOOD", answers=["First.\nVERDICT: A"]),
        ScriptRule(when="B:GOOD", answers=["Second.\nVERDICT: B"]),
        ScriptRule(when="hello", answers=["good day"]),
    ]
    prompt = TaskPrompt(
        JudgePairwiseTask(kind="judge_pairwise"), Template("A:{{ a }} B:{{ b }}", "p")
    )
    teacher = ScriptedAdapter(ScriptedTeacher(kind="scripted", script=script), "j")
    return Judge(teacher, JudgeForm(prompt, 64))


def ask(method, path, headers=None, **options):
    """One request to a server of its own: (status, JSON)."""

    async def run():
        runner = web.AppRunner(judge_application(pair_judge(), TOKEN, "my-judge"))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
            async with (
                aiohttp.ClientSession() as session,
                session.request(method, url, headers=headers or {}, **options) as answer,
            ):
                return answer.status, await answer.json()
        finally:
            await runner.cleanup()

    return asyncio.run(asyncio.wait_for(run(), 20))


def test_compare():
    """A pair is compared in both orders."""
    status, found = ask("POST", "/compare", AUTH, json=PAIR)
    assert status == 200
    assert (found["winner"], found["consistent"], found["parsed"]) == ("b", True, True)


def test_the_openai_shape():
    """A prompt of the caller's own is answered as any chat model would."""
    turns = [{"role": "user", "content": "hello"}]
    status, found = ask("POST", "/v1/chat/completions", AUTH, json={"messages": turns})
    assert status == 200
    assert found["choices"][0]["message"] == {"role": "assistant", "content": "good day"}
    assert found["model"] == "my-judge"


@pytest.mark.parametrize(
    ("path", "headers", "options", "status"),
    [
        ("/compare", {}, {"json": PAIR}, 401),
        ("/compare", {"Authorization": "Bearer wrong"}, {"json": PAIR}, 401),
        ("/compare", AUTH | {"Host": "evil.example"}, {"json": PAIR}, 403),
        ("/compare", AUTH, {"json": {"instruction": "q", "a": "x"}}, 400),
        ("/compare", AUTH, {"data": "{"}, 400),
        ("/compare", AUTH, {"json": [1]}, 400),
        ("/grade", AUTH, {"json": {"instruction": "q", "response": "r"}}, 400),
        ("/v1/chat/completions", AUTH, {"json": {"messages": "hello"}}, 400),
        ("/v1/chat/completions", AUTH, {"json": {"messages": [{"role": "boss"}]}}, 400),
    ],
)
def test_what_is_refused(path, headers, options, status):
    """No token, a foreign name, a body that says too little: refused with the reason."""
    found, body = ask("POST", path, headers, **options)
    assert found == status
    assert body["error"]["message"]


def test_health_needs_no_token():
    """A load balancer may ask whether it is up."""
    assert ask("GET", "/health")[0] == 200
