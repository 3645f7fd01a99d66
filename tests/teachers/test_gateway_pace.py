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
