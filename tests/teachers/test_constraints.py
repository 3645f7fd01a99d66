"""Servers held to choices while they write: in their words, checked and named all the same."""

import asyncio

import pytest
from aiohttp import web

from teachers import Ask, Gateway, OpenAITeacher, Store, TeacherError, build_adapter, user
from teachers.constraints import choice_fields, dialect_of
from teachers.keys import ask_key
from teachers.openai_body import Wants, request_body
from teachers.scripted.server import Faults

LABELS = ("bug", "how to", 'a "quoted" one', "other")


def asks(count):
    return [Ask(user(f"Label this: text {n}"), choices=LABELS) for n in range(count)]


async def answers(url, asked, store=None, told=None, **settings):
    """The texts, or the kinds of failure, of some asks to one server."""
    config = OpenAITeacher(kind="openai", model="m", base_url=url, **settings)
    teacher = Gateway(
        build_adapter(config, "t"), config, name="t", store=store, backoff_s=0.01,
        tell=(told if told is not None else []).append,
    )  # fmt: skip
    try:
        found = await asyncio.gather(*(teacher.ask(ask) for ask in asked), return_exceptions=True)
    finally:
        await teacher.close()
    return [one.kind if isinstance(one, TeacherError) else one.text for one in found]


@pytest.mark.parametrize("owner", ["vllm", "llamacpp"])
def test_a_server_that_can_is_held_to_the_choices(scripted_server, owner):
    """A model that would say something else says a label, in one request; free it fails."""

    async def main():
        faults = Faults(owned_by=owner, constrains=True)
        async with scripted_server(faults, malformed=1.0) as (url, stats):
            told = []
            held = await answers(url, asks(8), told=told)
            assert set(held) <= set(LABELS)
            assert stats["requests"] == 8
            assert told == []
            free = await answers(url, asks(2), constrained=False)
            assert free == ["parse", "parse"]

    asyncio.run(main())


def test_a_server_that_ignores_it_is_named(scripted_server):
    """Answers are checked and asked again as ever, and the user is told why that costs more."""

    async def main():
        async with scripted_server(Faults(owned_by="vllm"), malformed=1.0) as (url, _):
            told = []
            assert await answers(url, asks(3), told=told) == ["parse"] * 3
            assert len(told) == 1
            assert "ignores guided_choice and structured_outputs" in told[0]

    asyncio.run(main())


def test_a_server_that_refuses_the_fields_is_asked_without(handled, reply, monkeypatch):
    """Its refusal names the fields one by one; the answer comes, and the user is told."""
    seen = []

    async def handle(request):
        body = await request.json()
        seen.append(body)
        for field in ("guided_choice", "structured_outputs"):
            if field in body:
                error = {"error": {"message": f"Unrecognized request argument: {field}"}}
                return web.json_response(error, status=400)
        return reply("bug")

    async def main():
        async with handled(handle) as url:
            from teachers.openai_api import OpenAIAdapter

            told = []
            config = OpenAITeacher(kind="openai", model="m", base_url=url)
            adapter = OpenAIAdapter(config, "t")
            adapter._wants, adapter._looked = Wants(choices="vllm"), True
            adapter.tell = told.append
            answer = await adapter.ask(asks(1)[0])
            await adapter.close()
            assert answer.text == "bug"
            assert len(seen) == 3
            assert not {"guided_choice", "structured_outputs"} & seen[-1].keys()
            assert all("answers are checked here" in one for one in told)
            assert len(told) == 2

    asyncio.run(main())


def test_the_words_of_each_server():
    """vLLM before and after 0.12, llama.cpp's grammar with what has to be escaped."""
    assert choice_fields("vllm", ["a", "b"]) == {
        "structured_outputs": {"choice": ["a", "b"]}, "guided_choice": ["a", "b"],
    }  # fmt: skip
    grammar = choice_fields("llama_cpp", ['say "hi"', "two\nlines", "ü 🙂"])["grammar"]
    assert grammar == r'root ::= "say \"hi\"" | "two\nlines" | "ü 🙂"'
    assert dialect_of([{"id": "m", "owned_by": "vllm"}]) == "vllm"
    assert dialect_of([{"id": "m", "owned_by": "llamacpp"}]) == "llama_cpp"
    assert dialect_of([{"id": "m"}, "junk", None]) is None
    config = OpenAITeacher(kind="openai", model="m")
    assert "guided_choice" not in request_body(config, asks(1)[0], Wants(openai=True))
    schema = Ask(user("x"), schema={"type": "object"})
    assert "response_format" in request_body(config, schema, Wants())
    free = config.model_copy(update={"constrained": False})
    assert "response_format" not in request_body(free, schema, Wants())


def test_how_a_server_is_held_is_no_part_of_the_key(scripted_server, tmp_path):
    """An answer serves another server, or none; that a teacher may write freely is another ask."""
    config = OpenAITeacher(kind="openai", model="m", base_url="http://x")
    free = config.model_copy(update={"constrained": False})
    assert ask_key(config, asks(1)[0]) != ask_key(free, asks(1)[0])

    async def main():
        store = Store(tmp_path / "store.sqlite")
        faults = Faults(owned_by="vllm", constrains=True)
        async with scripted_server(faults) as (url, _), scripted_server() as (plain, stats):
            first = await answers(url, asks(4), store)
            assert await answers(plain, asks(4), store) == first
            assert stats["requests"] == 0
        store.close()

    asyncio.run(main())
