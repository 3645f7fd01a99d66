import asyncio
import dataclasses
import random

import pytest

from teachers import Answer, Budget, BudgetReached, Caps, ConfigError, OpenAITeacher, Price, user


@pytest.mark.parametrize("caps", [Caps(usd=0.004), Caps(requests=40), Caps(tokens=4000)])
def test_cap_holds_through_the_gateway(
    scripted_server, openai_config, gateway, question, gather, tmp_path, caps
):
    """With 200 in flight, what the server counted stays under the cap, also after reopening."""

    async def main(ledger, asks, store):
        config_of = {"price": Price(input=1, output=1), "concurrency": 200, "max_tokens": 40}
        async with scripted_server() as (url, stats):
            config = openai_config(url, **config_of)
            budget = Budget(ledger, caps, store=store)
            teacher = gateway(config, budget)
            results = await gather(teacher, asks)
            await teacher.close()
            budget.close()
            return results, stats

    served = {"answered": 0, "input_tokens": 0, "output_tokens": 0}
    for part in range(2):
        asks = [question(f"{part} {n} " + "long text " * (n % 17)) for n in range(200)]
        results, stats = asyncio.run(main(tmp_path / "l.sqlite", asks, None))
        served = {name: count + stats[name] for name, count in served.items()}
        assert {type(result) for result in results} <= {Answer, BudgetReached}
    tokens = served["input_tokens"] + served["output_tokens"]
    assert caps.requests is None or served["answered"] == caps.requests
    assert caps.tokens is None or 0.5 * caps.tokens < tokens <= caps.tokens
    assert caps.usd is None or 0.5 * caps.usd < tokens / 1e6 <= caps.usd


def test_usd_cap_needs_a_price(openai_config, gateway, tmp_path):
    """A cap in USD over a teacher without a known price is refused at the start."""
    budget = Budget(tmp_path / "l.sqlite", Caps(usd=1))
    with pytest.raises(ConfigError, match=r"teachers\.t: budget\.usd .* Give `price"):
        gateway(openai_config("http://localhost:1/v1"), budget)
    budget.close()


def test_missing_price_costs_none(scripted_server, question, gateway):
    """Without a price an answer's cost is unknown, not zero."""

    async def main():
        async with scripted_server() as (url, _):
            config = OpenAITeacher(kind="openai", model="m", base_url=url)
            teacher = gateway(config)
            answer = await teacher.ask(dataclasses.replace(question(), messages=user("hm")))
            await teacher.close()
            return answer.cost_usd

    assert asyncio.run(main()) is None


@pytest.mark.parametrize("caps", [Caps(usd=0.01), Caps(tokens=10_000)])
def test_cap_holds_against_answers_of_any_length(
    handled, reply, openai_config, gateway, question, gather, tmp_path, caps
):
    """200 in flight, answers from empty to the limit in any order: the cap is never passed."""
    luck = random.Random(5)
    served = []

    async def handle(request):
        body = await request.json()
        out = luck.choice([1, 2, body["max_tokens"] // 2, body["max_tokens"], body["max_tokens"]])
        tokens = (len(body["messages"][0]["content"]), out)
        await asyncio.sleep(luck.random() * 0.02)
        served.append(sum(tokens))
        return reply(tokens=tokens)

    async def main():
        async with handled(handle) as url:
            price = Price(input=1, output=1)
            config = openai_config(url, price=price, concurrency=200, max_tokens=100)
            budget = Budget(tmp_path / "l.sqlite", caps)
            teacher = gateway(config, budget)
            asks = [question(f"{n} " + "x" * luck.randrange(200)) for n in range(400)]
            results = await gather(teacher, asks)
            await teacher.close()
            totals = budget.totals()
            budget.close()
            return results, totals

    results, totals = asyncio.run(main())
    assert {type(result) for result in results} == {Answer, BudgetReached}
    assert totals.input_tokens + totals.output_tokens == sum(served)
    assert 8_000 < sum(served) <= 10_000


def test_more_than_was_reserved_is_counted_named_and_stops(
    handled, reply, openai_config, gateway, question, tmp_path
):
    """A server that bills more than it was allowed is counted in full; at the cap asking stops."""
    told = []

    async def handle(request):
        return reply(tokens=(5, 900))

    async def main():
        async with handled(handle) as url:
            config = openai_config(url, price=Price(input=0, output=1), max_tokens=100)
            budget = Budget(tmp_path / "l.sqlite", Caps(usd=0.0009))
            teacher = gateway(config, budget, tell=told.append)
            await teacher.ask(question("one"))
            with pytest.raises(BudgetReached, match=r"budget\.usd"):
                await teacher.ask(question("two"))
            await teacher.close()
            totals = budget.totals()
            budget.close()
            return totals

    totals = asyncio.run(main())
    assert (totals.requests, totals.output_tokens) == (1, 900)
    assert len(told) == 1
    assert "900 out" in told[0]
    assert "counted in full" in told[0]
