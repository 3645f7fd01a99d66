import asyncio
import dataclasses
import time

import pytest
from aiohttp import web

from teachers import (
    Answer,
    AuthError,
    Budget,
    BudgetReached,
    Caps,
    ConfigError,
    CustomTeacher,
    Gateway,
    OpenAITeacher,
    Price,
    ScriptedTeacher,
    Store,
    TeacherError,
    Usage,
    build_adapter,
    user,
)
from teachers.scripted.server import Faults

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def gateway(store):
    def make(config, budget=None, **more):
        adapter = build_adapter(config, "t")
        return Gateway(
            adapter, config, name="t", store=store, budget=budget, backoff_s=0.002, **more
        )

    return make


def kind_of(error):
    return error.kind if isinstance(error, TeacherError) else type(error).__name__


def test_second_run_comes_from_the_store(
    scripted_server, openai_config, gateway, question, gather, tmp_path
):
    """The same asks again send nothing, cost nothing and give the same answers."""

    async def main():
        async with scripted_server(choices=["a", "b"]) as (url, stats):
            config = openai_config(url, price=Price(input=1, output=1))
            asks = [question(f"text {n}", choices=("a", "b")) for n in range(30)]
            budget = Budget(tmp_path / "ledger.sqlite", Caps(usd=1.0))
            first = await gather(one := gateway(config, budget), asks)
            second = await gather(two := gateway(config, budget), asks)
            await one.close()
            await two.close()
            totals = budget.totals()
            budget.close()
            return first, second, stats["requests"], totals

    first, second, requests, totals = asyncio.run(main())
    assert requests == 30
    assert all(not answer.stored and answer.cost_usd > 0 for answer in first)
    free = [dataclasses.replace(answer, stored=True, cost_usd=0.0) for answer in first]
    assert second == free
    assert (totals.requests, totals.stored_answers) == (30, 30)
    assert totals.usd == pytest.approx(sum(answer.cost_usd for answer in first))


def test_more_votes_buy_only_the_new_ones(
    scripted_server, openai_config, gateway, question, gather
):
    """Going from three votes to five sends exactly two requests more per row."""

    async def main():
        async with scripted_server() as (url, stats):
            teacher = gateway(openai_config(url, params={"seed": 0}))
            await gather(teacher, [question(sample=n) for n in range(3)])
            before = stats["requests"]
            votes = await gather(teacher, [question(sample=n) for n in range(5)])
            await teacher.close()
            return before, stats["requests"], votes

    before, after, votes = asyncio.run(main())
    assert (before, after) == (3, 5)
    assert len({vote.text for vote in votes}) > 1


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


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_cut_and_filtered_answers_are_recorded_not_served(
    handled, reply, openai_config, gateway, question, store, finish
):
    """They fail, stay on record and are not paid for again unless that is asked for."""
    sent = []

    async def handle(request):
        sent.append(1)
        return reply("half an ans", finish if len(sent) == 1 else "stop")

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url))
            kinds = []
            for _ in range(2):
                with pytest.raises(TeacherError) as caught:
                    await teacher.ask(question())
                kinds.append(caught.value.kind)
            counts = store.counts()
            await teacher.close()
            retrying = gateway(openai_config(url), retry_failed=True)
            answer = await retrying.ask(question())
            await retrying.close()
            return kinds, counts, answer.finish

    kind = {"length": "truncated"}.get(finish, finish)
    assert asyncio.run(main()) == ([kind, kind], {kind: 1}, "stop")
    assert len(sent) == 2


def test_cut_answer_serves_those_who_allow_it(handled, reply, openai_config, gateway, question):
    """The ask that allows a cut answer gets it from the record of the one that failed."""
    sent = []

    async def handle(request):
        sent.append(1)
        return reply("half an ans", "length")

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url))
            with pytest.raises(TeacherError):
                await teacher.ask(question())
            answer = await teacher.ask(question(allow_truncated=True))
            longer = await teacher.ask(question(allow_truncated=True, max_tokens=900))
            await teacher.close()
            return answer.stored, longer.stored

    assert asyncio.run(main()) == (True, False)
    assert len(sent) == 2


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


def test_server_that_is_down(openai_config, gateway, question, gather):
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


def test_full_store_hangs_nobody(
    scripted_server, openai_config, gateway, question, gather, store, tmp_path
):
    """When answers cannot be kept, every ask ends with an error instead of waiting for its turn."""

    async def main():
        async with scripted_server() as (url, _):
            budget = Budget(tmp_path / "l.sqlite", Caps(requests=1))
            teacher = gateway(openai_config(url), budget)
            store._writer.submit("PRAGMA max_page_count = 1", ()).result()
            asks = [question("x" * 50_000 + str(n), allow_truncated=True) for n in range(5)]
            results = await asyncio.wait_for(gather(teacher, asks), 5)
            await teacher.close()
            budget.close()
            return {type(result).__name__ for result in results}

    assert asyncio.run(main()) <= {"StorageError", "BudgetReached", "Answer"}


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


def test_usage_of_stored_answers_is_kept(gateway, question):
    """An answer from the store says what it once used."""
    config = ScriptedTeacher(kind="scripted")

    async def main():
        teacher = gateway(config)
        return await teacher.ask(question()), await teacher.ask(question())

    first, second = asyncio.run(main())
    assert first.usage == second.usage != Usage(0, 0)
    assert (first.stored, second.stored) == (False, True)


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
