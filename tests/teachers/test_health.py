"""Servers that load, die and come back, over real HTTP on loopback."""

import asyncio
import socket
import time
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from teachers import Answer, ScriptedTeacher, TeacherError, endpoints, health
from teachers.openai_api import OpenAIAdapter
from teachers.scripted.server import Faults, serve


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(health, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(health, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(endpoints, "FIRST_REST_S", 0.05)


@pytest.fixture
def port():
    """A port of this machine that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@asynccontextmanager
async def started(port=0, **faults):
    """The scripted teacher at a port of its own choice, or at one that was stopped before."""
    config = ScriptedTeacher(kind="scripted")
    runner, url = await serve(config, Faults(**faults), port)
    try:
        yield url
    finally:
        await runner.cleanup()


def test_a_loading_server_is_waited_for(scripted_server, openai_config, gateway, question, gather):
    """While it answers 503 no ask fails; it is told once, and one look serves all asks."""
    told = []

    async def main():
        async with scripted_server(Faults(loading_s=0.4)) as (url, stats):
            teacher = gateway(openai_config(url, concurrency=20), tell=told.append)
            answers = await gather(teacher, [question(f"q {n}") for n in range(40)])
            await teacher.close()
            return answers, stats

    answers, stats = asyncio.run(main())
    assert all(isinstance(answer, Answer) for answer in answers)
    assert [("waiting up to 600 s" in text, "is ready" in text) for text in told] == [
        (True, False),
        (False, True),
    ]
    # The first of each place in flight, and the looks.
    assert stats["error_503"] < 20 + 20


def test_a_server_that_is_only_overloaded_is_not_waited_for(
    scripted_server, openai_config, gateway, question
):
    """Its health says that it is there, so the ask is tried again in the ordinary way."""
    told = []

    async def main():
        faults = Faults(error_rate=0.5, error_code=503)
        async with scripted_server(faults) as (url, stats):
            teacher = gateway(openai_config(url), tell=told.append)
            for n in range(10):
                await teacher.ask(question(f"q {n}"))
            await teacher.close()
            return stats["error_503"]

    assert asyncio.run(main()) > 0
    assert told == []


def test_a_server_that_is_not_there_yet_is_waited_for_where_asked(
    port, openai_config, gateway, question
):
    """With warm_up_s a refused connection is waited out, as vLLM refuses them while it loads."""
    told = []

    async def main():
        config = openai_config(f"http://127.0.0.1:{port}/v1", warm_up_s=20)
        teacher = gateway(config, tell=told.append)
        asked = asyncio.create_task(teacher.ask(question()))
        await asyncio.sleep(0.2)
        async with started(port):
            answer = await asked
            await teacher.close()
            return answer

    assert isinstance(asyncio.run(main()), Answer)
    assert "does not answer yet" in told[0]


def test_the_wait_is_bounded(port, openai_config, gateway, question, gather, kind_of):
    """After warm_up_s every ask fails with one message, and none waits for a second time."""

    async def main():
        config = openai_config(f"http://127.0.0.1:{port}/v1", warm_up_s=0.3, concurrency=4)
        teacher = gateway(config)
        start = time.monotonic()
        failed = await gather(teacher, [question(f"q {n}") for n in range(12)])
        await teacher.close()
        return failed, time.monotonic() - start

    failed, seconds = asyncio.run(main())
    assert Counter(kind_of(error) for error in failed) == {"network": 12}
    assert "was not ready after 0.3 s" in str(failed[0])
    assert seconds < 3


def test_a_pool_goes_on_without_a_server_and_takes_it_back(
    port, scripted_server, openai_config, gateway, question, gather
):
    """No ask fails when one of two stops; its return is told, and it gets asks again."""
    told = []

    async def main():
        async with scripted_server() as (other, _):
            urls = [f"http://127.0.0.1:{port}/v1", other]
            teacher = gateway(openai_config(urls, concurrency=8), tell=told.append)
            async with started(port):
                first = await gather(teacher, [question(f"a {n}") for n in range(20)])
            second = await gather(teacher, [question(f"b {n}") for n in range(40)])
            await asyncio.sleep(0.2)
            async with started(port, key="nobody has it"):
                # The one that came back is known by its refusals.
                for n in range(400):
                    third = await gather(teacher, [question(f"c {n}")])
                    if isinstance(third[0], TeacherError):
                        break
                    await asyncio.sleep(0.01)
            await teacher.close()
            return [*first, *second], third

    answers, third = asyncio.run(main())
    assert all(isinstance(answer, Answer) for answer in answers)
    assert "answers again" in told[-1]
    assert third[0].kind == "auth"


def test_asks_go_to_the_server_with_the_fewest(scripted_server, openai_config, question):
    """Of two servers the busy one gets less: each ask goes where the fewest are in flight."""

    async def main():
        slow, quick = Faults(latency_s=0.08), Faults(latency_s=0.01)
        async with scripted_server(slow) as (one, busy), scripted_server(quick) as (two, idle):
            adapter = OpenAIAdapter(openai_config([one, two]), "t", environ={})
            turn = asyncio.Semaphore(4)

            async def ask(n):
                async with turn:
                    await adapter.ask(question(f"q {n}"))

            await asyncio.gather(*(ask(n) for n in range(60)))
            await adapter.close()
            return busy["answered"], idle["answered"]

    busy, idle = asyncio.run(main())
    assert busy + idle == 60
    assert idle > 2 * busy
