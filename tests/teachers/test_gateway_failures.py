import asyncio
import time

import pytest
from aiohttp import web

from teachers import Answer, AuthError, Budget, BudgetReached, Caps, Price, TeacherError
from teachers.scripted.server import Faults


@pytest.mark.parametrize("faults", [{"error_rate": 0.4}, {"garbage_rate": 0.4}])
def test_broken_connections_are_survived(
    scripted_server, openai_config, gateway, question, gather, faults, tmp_path
):
    """Errors 500, half-closed connections and broken bodies are tried again until they work."""

    async def main():
        async with scripted_server(Faults(**faults)) as (url, stats):
            config = openai_config(url, price=Price(input=0, output=0))
            budget = Budget(tmp_path / "l.sqlite", Caps(usd=1))
            teacher = gateway(config, budget)
            answers = await gather(teacher, [question(f"q {n}") for n in range(80)])
            await teacher.close()
            totals = budget.totals()
            budget.close()
            return answers, stats, totals, teacher.failures

    answers, stats, totals, failures = asyncio.run(main())
    good = [answer for answer in answers if isinstance(answer, Answer)]
    assert len(good) >= 78
    assert set(failures) <= {"server", "network"}
    assert sum(failures.values()) == stats["error_500"] + stats["garbage"] > 20
    # A broken answer may have been billed, a refusal was not.
    assert totals.requests == stats["answered"] + stats["garbage"]
    assert totals.unknown == stats["garbage"]


def test_server_that_is_down(openai_config, gateway, question, gather, kind_of):
    """Every ask fails with one clear message, soon, and costs nothing."""

    async def main():
        teacher = gateway(openai_config("http://127.0.0.1:9/v1", concurrency=4))
        start = time.monotonic()
        failed = await gather(teacher, [question(f"q {n}") for n in range(40)])
        await teacher.close()
        return failed, time.monotonic() - start

    failed, seconds = asyncio.run(main())
    assert {kind_of(error) for error in failed} == {"network"}
    assert "http://127.0.0.1:9/v1: no connection" in str(failed[0])
    assert "Is the server running?" in str(failed[0])
    assert seconds < 2


def test_refused_key_stops_the_teacher(
    scripted_server, openai_config, gateway, question, gather, monkeypatch
):
    """After a 401 no ask is sent any more; the key is in no message."""
    monkeypatch.setenv("MY_KEY", "sk-wrong-key")

    async def main():
        async with scripted_server(Faults(key="sk-right-key")) as (url, stats):
            teacher = gateway(openai_config(url, api_key_env="MY_KEY", concurrency=2))
            failed = await gather(teacher, [question(f"q {n}") for n in range(30)])
            await teacher.close()
            return failed, stats["requests"]

    failed, requests = asyncio.run(main())
    assert all(isinstance(error, AuthError) for error in failed)
    assert requests <= 2
    assert not any("sk-" in f"{error!r}" for error in failed)


def test_our_own_queue_is_no_time_out(handled, reply, openai_config, gateway, question, gather):
    """Fifteen asks one after another may take longer together than one may take."""

    async def slow(request):
        await asyncio.sleep(0.03)
        return reply()

    async def main():
        async with handled(slow) as url:
            teacher = gateway(openai_config(url, timeout_s=0.3, concurrency=1))
            answers = await gather(teacher, [question(f"q {n}") for n in range(15)])
            await teacher.close()
        return answers

    assert all(isinstance(answer, Answer) for answer in asyncio.run(main()))


def test_silent_server_times_out_and_may_have_billed(
    handled, openai_config, gateway, question, tmp_path
):
    """Each time-out is counted at its worst case, since the server may have done the work."""

    async def silent(request):
        await asyncio.sleep(30)

    async def main():
        async with handled(silent) as url:
            config = openai_config(url, timeout_s=0.05, price=Price(input=0, output=1))
            budget = Budget(tmp_path / "l.sqlite", Caps(usd=0.002))
            teacher = gateway(config, budget)
            with pytest.raises(BudgetReached, match=r"budget\.usd"):
                await teacher.ask(question())
            await teacher.close()
            totals = budget.totals()
            budget.close()
            return totals, teacher.failures

    totals, failures = asyncio.run(main())
    assert failures == {"timeout": 3}
    assert (totals.unknown, totals.output_tokens) == (3, 3 * 512)


def test_a_server_without_probabilities_is_asked_once(
    handled, reply, openai_config, gateway, question, gather
):
    """Where token probabilities do not come, no further ask is paid for in vain."""
    sent = []

    async def handle(request):
        sent.append(1)
        return reply()

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url, concurrency=1))
            failed = await gather(teacher, [question(f"q {n}", top_logprobs=2) for n in range(9)])
            answer = await teacher.ask(question("plain"))
            await teacher.close()
            return failed, answer.text

    failed, text = asyncio.run(main())
    assert {str(error)[:27] for error in failed} == {"the server ignores logprobs"}
    assert (text, len(sent)) == ("hello", 2)


def test_ignored_response_format_is_named(handled, reply, openai_config, gateway, question):
    """Free text where JSON was asked for is told once, and asked again with a reminder."""
    told, sent = [], []

    async def handle(request):
        sent.append(await request.json())
        return reply("the number is four" if len(sent) % 2 else '{"n": 4}')

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url), tell=told.append)
            answers = [await teacher.ask(question(f"q {n}", schema=schema)) for n in range(2)]
            await teacher.close()
            return [answer.text for answer in answers]

    assert asyncio.run(main()) == ['{"n": 4}'] * 2
    assert len(sent) == 4
    assert len(told) == 1
    assert "ignores response_format" in told[0]


def test_a_refused_temperature_is_left_out(handled, reply, openai_config, gateway, question):
    """A model that takes no temperature is asked without it from then on, and that is told."""
    told, bodies = [], []

    async def handle(request):
        bodies.append(await request.json())
        if "temperature" in bodies[-1]:
            said = "Unsupported value: 'temperature' does not support 0.3 with this model."
            return web.json_response({"error": {"message": said}}, status=400)
        return reply()

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url, temperature=0.3), tell=told.append)
            await teacher.ask(question("one"))
            await teacher.ask(question("two"))
            await teacher.close()

    asyncio.run(main())
    assert ["temperature" in body for body in bodies] == [True, False, False]
    assert len(told) == 1
    assert "m refuses temperature" in told[0]


def test_a_dripping_answer_times_out(handled, openai_config, gateway, question):
    """A server that sends a byte now and then does not hold an ask for ever."""

    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    async def main():
        async with handled(drip) as url:
            teacher = gateway(openai_config(url, timeout_s=0.2))
            with pytest.raises(TeacherError) as caught:
                await teacher.ask(question())
            await teacher.close()
            return caught.value.kind

    assert asyncio.run(main()) == "timeout"
