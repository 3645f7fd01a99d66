import asyncio

import pytest

from teachers import (
    Budget,
    Caps,
    CustomTeacher,
    Gateway,
    Price,
    ScriptedTeacher,
    TeacherError,
    build_adapter,
)
from teachers.scripted.server import Faults

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_identical_asks_in_flight_share_one_call(
    scripted_server, openai_config, gateway, question, gather
):
    """Ten at once pay once, even when the one that came first gives up."""

    async def main():
        async with scripted_server(Faults(latency_s=0.05)) as (url, stats):
            teacher = gateway(openai_config(url))
            first = asyncio.create_task(teacher.ask(question()))
            await asyncio.sleep(0.02)
            rest = asyncio.create_task(gather(teacher, [question()] * 9))
            await asyncio.sleep(0.01)
            first.cancel()
            answers = await rest
            await teacher.close()
            return answers, stats["requests"]

    answers, requests = asyncio.run(main())
    assert requests == 1
    assert len({answer.text for answer in answers}) == 1


def test_an_abandoned_call_is_finished_and_kept(scripted_server, openai_config, gateway, question):
    """What was sent is paid for, so its answer is stored though its asker is gone."""

    async def main():
        async with scripted_server(Faults(latency_s=0.05)) as (url, stats):
            teacher = gateway(openai_config(url))
            asker = asyncio.create_task(teacher.ask(question()))
            await asyncio.sleep(0.03)
            asker.cancel()
            await asyncio.gather(asker, return_exceptions=True)
            await teacher.close()
            again = await gateway(openai_config(url)).ask(question())
            return again.stored, stats["requests"]

    assert asyncio.run(main()) == (True, 1)


def test_unusable_answers_are_asked_again_with_a_reminder(
    handled, reply, openai_config, gateway, question, store, tmp_path
):
    """A choice outside the list is corrected once, paid for twice, and found by the next run."""
    bodies = []

    async def handle(request):
        bodies.append(await request.json())
        return reply("perhaps" if len(bodies) == 1 else "b")

    async def main():
        async with handled(handle) as url:
            config = openai_config(url, price=Price(input=1, output=1))
            budget = Budget(tmp_path / "l.sqlite", Caps(usd=1))
            teacher = gateway(config, budget)
            ask = question(choices=("a", "b"))
            answer = await teacher.ask(ask)
            again = await gateway(config, budget).ask(ask)
            await teacher.close()
            totals = budget.totals()
            budget.close()
            return answer, again, totals, teacher.failures

    answer, again, totals, failures = asyncio.run(main())
    assert (answer.text, answer.stored, again.text, again.stored) == ("b", False, "b", True)
    assert len(bodies) == 2
    assert bodies[1]["messages"][1] == {"role": "assistant", "content": "perhaps"}
    assert "a | b" in bodies[1]["messages"][2]["content"]
    assert (totals.requests, totals.input_tokens) == (2, 10)
    assert failures == {"parse": 1}
    assert store.counts() == {"answer": 1, "parse": 1}


def test_reasks_end(handled, reply, openai_config, gateway, question):
    """After two re-asks a wrong shape is a failure; a raw prompt at temperature 0 has none."""
    sent = []

    async def handle(request):
        sent.append(1)
        return reply('{"n": "one"}')

    async def main():
        async with handled(handle) as url:
            kinds = []
            for more in ({}, {"chat": False, "temperature": 0}):
                teacher = gateway(openai_config(url, **more))
                sent.append(0)
                with pytest.raises(TeacherError) as caught:
                    await teacher.ask(question(schema=SCHEMA))
                kinds.append(caught.value.kind)
                await teacher.close()
            return kinds

    assert asyncio.run(main()) == ["schema", "schema"]
    assert sent == [0, 1, 1, 1, 0, 1]


def test_used_up_reasks_are_remembered(handled, reply, openai_config, gateway, question):
    """A later run fails at once, with the same words; `retry_failed` begins again."""
    sent = []

    async def handle(request):
        sent.append(1)
        return reply('{"n": "one"}')

    async def main():
        async with handled(handle) as url:
            told = []
            for retry in (False, False, True):
                teacher = gateway(openai_config(url), retry_failed=retry)
                with pytest.raises(TeacherError) as caught:
                    await teacher.ask(question(schema=SCHEMA))
                told.append((caught.value.kind, str(caught.value), len(sent)))
                await teacher.close()
            return told

    first, second, third = asyncio.run(main())
    assert first == second == ("schema", first[1], 3)
    assert third == ("schema", first[1], 6)


class Broken:
    """A user's adapter with a fault."""

    name = "t"
    identity = "weights-1"

    async def ask(self, ask):
        raise ZeroDivisionError("oops")

    async def close(self):
        pass


def test_fault_in_user_code(question):
    """A user's own adapter that raises fails as user_code; its identity is part of the key."""
    config = CustomTeacher(kind="custom", factory="a:b")
    teacher = Gateway(Broken(), config, name="t", store=None, budget=None)
    with pytest.raises(TeacherError, match="ZeroDivisionError: oops") as caught:
        asyncio.run(teacher.ask(question()))
    assert caught.value.kind == "user_code"
    assert teacher.config.identity == "weights-1"


def test_without_store_and_budget(question):
    """The gateway works with neither, and several event loops may use it one after another."""
    config = ScriptedTeacher(kind="scripted", concurrency=1)
    teacher = Gateway(build_adapter(config, "t"), config, name="t", store=None, budget=None)

    async def ask_all():
        return await asyncio.gather(*(teacher.ask(question(f"q {n}")) for n in range(5)))

    assert asyncio.run(ask_all()) == asyncio.run(ask_all())


def test_scripted_process_and_http_agree(scripted_server, openai_config, question, gather):
    """The same rules answer alike in process and over HTTP, faults and votes included."""
    rules = {"choices": ["a", "b", "c"], "wrong": 0.3, "refuse": 0.1, "malformed": 0.1}

    async def main():
        asks = [question(f"text {n}", choices=("a", "b", "c"), sample=n % 3) for n in range(60)]
        async with scripted_server(**rules) as (url, _):
            config = openai_config(url, params={"seed": 0})
            over_http = Gateway(build_adapter(config, "t"), config, name="t")
            there = await gather(over_http, asks)
            await over_http.close()
        config = ScriptedTeacher(kind="scripted", **rules)
        here = await gather(Gateway(build_adapter(config, "t"), config, name="t"), asks)
        return [getattr(a, "text", None) for a in here], [getattr(a, "text", None) for a in there]

    here, there = asyncio.run(main())
    assert here == there
    assert len(set(here)) >= 3
