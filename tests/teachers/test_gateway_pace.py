import asyncio
import time

from aiohttp import web

from teachers import Answer
from teachers.scripted.server import Faults


def test_rate_limit_storm_is_waited_out(scripted_server, openai_config, gateway, question, gather):
    """Half of all requests get 429: every ask is answered, and no pause is cut short."""

    async def main():
        faults = Faults(error_rate=0.5, error_code=429, retry_after=0.02)
        async with scripted_server(faults) as (url, stats):
            teacher = gateway(openai_config(url))
            answers = await gather(teacher, [question(f"q {n}") for n in range(60)])
            await teacher.close()
            return answers, stats, teacher.failures

    answers, stats, failures = asyncio.run(main())
    assert all(isinstance(answer, Answer) for answer in answers)
    assert failures["rate_limit"] == stats["error_429"] > 20


def test_retry_after_is_kept(handled, reply, openai_config, gateway, question):
    """Nothing is sent before the seconds that the server asked for have passed."""
    times = []

    async def handle(request):
        times.append(time.monotonic())
        if len(times) == 1:
            return web.json_response({"error": {}}, status=429, headers={"Retry-After": "0.3"})
        return reply()

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url))
            await teacher.ask(question())
            await teacher.ask(question("other"))
            await teacher.close()

    asyncio.run(main())
    assert 0.3 <= times[1] - times[0] < 1


def test_concurrency_is_bounded(handled, reply, openai_config, gateway, question, gather):
    """No more asks are in flight than the settings allow."""
    now, most = 0, 0

    async def handle(request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return reply()

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url, concurrency=3))
            await gather(teacher, [question(f"q {n}") for n in range(20)])
            await teacher.close()

    asyncio.run(main())
    assert most == 3


def test_headers_slow_the_account_down(handled, reply, openai_config, gateway, question):
    """An answer that says nothing is left makes the next ask wait, without any refusal."""
    times = []

    async def handle(request):
        times.append(time.monotonic())
        answer = reply()
        answer.headers["x-ratelimit-limit-requests"] = "100"
        answer.headers["x-ratelimit-remaining-requests"] = "0"
        answer.headers["x-ratelimit-reset-requests"] = "30s"
        return answer

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url))
            await teacher.ask(question("one"))
            await teacher.ask(question("two"))
            await teacher.close()

    asyncio.run(main())
    assert 0.3 <= times[1] - times[0] < 3


def test_a_slow_address_does_not_starve_the_others(
    handled, scripted_server, openai_config, gateway, question, gather
):
    """With one of three addresses stuck, the other two go on at their own pace."""
    stuck = []

    async def slow(request):
        stuck.append(1)
        await asyncio.sleep(30)

    async def main():
        async with (
            handled(slow) as one,
            scripted_server(Faults(latency_s=0.01)) as (two, second),
            scripted_server(Faults(latency_s=0.01)) as (three, third),
        ):
            config = openai_config([one, two, three], concurrency=12, timeout_s=0.5)
            teacher = gateway(config)
            answers = await gather(teacher, [question(f"q {n}") for n in range(120)])
            await teacher.close()
            return answers, second["answered"], third["answered"]

    answers, second, third = asyncio.run(main())
    assert all(isinstance(answer, Answer) for answer in answers)
    assert len(stuck) <= 8
    assert min(second, third) > 30


def test_an_address_that_dies_is_left_alone(
    handled, scripted_server, openai_config, gateway, question, gather
):
    """Its asks go to the others at once, and it is tried again by one request at a time."""
    failing = []

    async def broken(request):
        failing.append(1)
        return web.json_response({"error": {"message": "out of memory"}}, status=500)

    async def main():
        async with handled(broken) as one, scripted_server() as (two, _):
            teacher = gateway(openai_config([one, two]))
            answers = await gather(teacher, [question(f"q {n}") for n in range(200)])
            await teacher.close()
            return answers

    assert all(isinstance(answer, Answer) for answer in asyncio.run(main()))
    assert len(failing) <= 20
