"""Each way to send many asks: `gateway_drivers.py NAME URL ROWS IN_FLIGHT`, a process of its own.

Prints one JSON object: the seconds from the first ask to the last answer, imports not counted.
Nothing of the project is imported at the top: peers run this file with their own interpreter.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

PROMPT = "Row {}: say something about this text, which is as long as such texts are."


class Clock:
    """Seconds on the wall and on the processor: the second says more on a busy machine."""

    def __init__(self):
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def read(self):
        """Seconds since the clock was made."""
        return {
            "seconds": time.perf_counter() - self._wall,
            "cpu_seconds": time.process_time() - self._processor,
        }


def prompts(rows):
    return [PROMPT.format(n) for n in range(rows)]


async def _bounded(rows, in_flight, one):
    gate = asyncio.Semaphore(in_flight)

    async def bounded(prompt):
        async with gate:
            await one(prompt)

    clock = Clock()
    await asyncio.gather(*(bounded(prompt) for prompt in prompts(rows)))
    return clock.read()


async def _bare(url, rows, in_flight):
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(prompt):
            body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
            async with session.post(f"{url}/chat/completions", json=body) as response:
                await response.json()

        return await _bounded(rows, in_flight, one)


def bare(url, rows, in_flight):
    """A loop over aiohttp: the practical ceiling."""
    return asyncio.run(_bare(url, rows, in_flight))


async def _openai(url, rows, in_flight, http):
    import openai

    client = openai.AsyncOpenAI(
        api_key="none", base_url=url, max_retries=0, timeout=300, http_client=http()
    )

    async def one(prompt):
        await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": prompt}]
        )

    found = await _bounded(rows, in_flight, one)
    await client.close()
    return found


def openai_aiohttp(url, rows, in_flight):
    """The openai package on its aiohttp transport."""
    import openai

    return asyncio.run(_openai(url, rows, in_flight, openai.DefaultAioHttpClient))


def openai_default(url, rows, in_flight):
    """The openai package on its default transport."""
    import httpx2
    import openai

    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=1000)
    return asyncio.run(
        _openai(
            url, rows, in_flight, lambda: openai.DefaultAsyncHttpxClient(limits=limits, timeout=300)
        )
    )


async def _gateway(url, rows, in_flight, folder):
    import teachers

    store = teachers.Store(folder / "store.sqlite")
    budget = teachers.Budget(folder / "ledger.sqlite", teachers.Caps(usd=1000.0), store=store)
    price = teachers.Price(input=1, output=1)
    config = teachers.OpenAITeacher(
        kind="openai", model="m", base_url=url, concurrency=in_flight, price=price
    )
    adapter = teachers.build_adapter(config, "t")
    teacher = teachers.Gateway(adapter, config, name="t", store=store, budget=budget)
    waiting = (PROMPT.format(n) for n in range(rows))

    async def worker():
        for prompt in waiting:
            await teacher.ask(teachers.Ask(messages=teachers.user(prompt)))

    clock = Clock()
    await asyncio.gather(*(worker() for _ in range(2 * in_flight)))
    found = clock.read()
    await teacher.close()
    budget.close()
    store.close()
    return found


def gateway(url, rows, in_flight):
    """The whole gateway: store, budget, limits, parsing, ledger; then the same from the store."""
    with tempfile.TemporaryDirectory() as name:
        asked = asyncio.run(_gateway(url, rows, in_flight, Path(name)))
        stored = asyncio.run(_gateway(url, rows, in_flight, Path(name)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {**asked, "stored": stored, "peak_mb": peak}


def curator(url, rows, in_flight):
    """Curator: one prompt a row, its own concurrency control opened wide."""
    os.environ |= {"CURATOR_DISABLE_CACHE": "1", "TELEMETRY_ENABLED": "0", "OPENAI_API_KEY": "none"}
    import tiktoken

    # It would be downloaded; counting words costs less, which is to the tool's advantage.
    words = type("Words", (), {"encode": lambda self, text, **_: text.split()})()
    tiktoken.get_encoding = tiktoken.encoding_for_model = lambda *_: words
    from bespokelabs import curator as tool
    from datasets import Dataset

    class Speaker(tool.LLM):
        def prompt(self, row):
            return row["text"]

        def parse(self, row, response):
            return {"text": row["text"], "answer": str(response)}

    speaker = Speaker(
        model_name="m",
        backend="openai",
        backend_params={
            "base_url": url, "api_key": "none", "max_requests_per_minute": 1_000_000,
            "max_tokens_per_minute": 1_000_000_000, "max_concurrent_requests": in_flight,
        },
    )  # fmt: skip
    data = Dataset.from_dict({"text": prompts(rows)})
    clock = Clock()
    speaker(data)
    return clock.read()


def distilabel(url, rows, in_flight):
    """distilabel: its OpenAI model, asked in batches of as many rows as are in flight."""
    from distilabel.models import OpenAILLM

    llm = OpenAILLM(model="m", base_url=url, api_key="none", timeout=60)
    llm.load()
    inputs = [[{"role": "user", "content": text}] for text in prompts(rows)]
    clock = Clock()
    for at in range(0, rows, in_flight):
        llm.generate(inputs=inputs[at : at + in_flight], num_generations=1)
    return clock.read()


if __name__ == "__main__":
    _, name, address, count, width = sys.argv
    print(json.dumps(globals()[name](address, int(count), int(width))), flush=True)
