import asyncio
import dataclasses
import sqlite3

import pytest

from teachers import Budget, Caps, Price, ScriptedTeacher, TeacherError, Usage


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


def test_a_slow_disk_leaves_no_more_unkept_than_places(
    scripted_server, openai_config, gateway, question, gather, store
):
    """A place goes to the next ask once the answer is stored, so a kill loses no more than that."""

    async def main():
        async with scripted_server() as (url, stats):
            teacher = gateway(openai_config(url, concurrency=4))
            other = sqlite3.connect(store.path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            asks = asyncio.create_task(gather(teacher, [question(str(n)) for n in range(40)]))
            await asyncio.sleep(0.5)
            unkept = stats["requests"]
            other.execute("ROLLBACK")
            other.close()
            answers = await asks
            await teacher.close()
            return unkept, len({answer.text for answer in answers}), stats["requests"]

    unkept, answered, requests = asyncio.run(main())
    assert unkept == 4
    assert answered > 1
    assert requests == 40


def test_usage_of_stored_answers_is_kept(gateway, question):
    """An answer from the store says what it once used."""
    config = ScriptedTeacher(kind="scripted")

    async def main():
        teacher = gateway(config)
        return await teacher.ask(question()), await teacher.ask(question())

    first, second = asyncio.run(main())
    assert first.usage == second.usage != Usage(0, 0)
    assert (first.stored, second.stored) == (False, True)


def test_a_changed_system_message_asks_all_again(
    scripted_server, openai_config, gateway, question, gather
):
    """Every ask is another one under another system message; the old answers stay."""

    async def main():
        async with scripted_server() as (url, stats):
            counts = []
            for system in ("Be brief.", "Be brief!", "Be brief."):
                teacher = gateway(openai_config(url, system=system))
                await gather(teacher, [question(f"q {n}") for n in range(7)])
                counts.append(stats["requests"])
                await teacher.close()
            return counts

    assert asyncio.run(main()) == [7, 14, 14]


HARD = [
    'braces {{ x }} {% raw %} {"a": 1} \\ "quoted"',
    "emoji 🧑🏽‍🚀🇫🇷 and a lone surrogate \ud800",
    "right to left: \u202e\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627\u202c",
    "nul \x00 and control \x1b[31m characters \r\n\t",
    "long " * 20_000,
]


@pytest.mark.parametrize("text", HARD, ids=["braces", "emoji", "rtl", "control", "100 KB"])
def test_any_text_goes_there_and_back(handled, reply, openai_config, gateway, question, text):
    """The server sees the text as it is, and its answer comes from the store as it was."""
    seen = []

    async def handle(request):
        body = await request.json()
        seen.append(body["messages"][0]["content"])
        return reply(text)

    async def main():
        async with handled(handle) as url:
            teacher = gateway(openai_config(url))
            first = await teacher.ask(question(text))
            again = await teacher.ask(question(text))
            await teacher.close()
            return first, again

    first, again = asyncio.run(main())
    assert seen == [text]
    assert first.text == again.text == text.replace("\ud800", "?")
    assert again.stored


@pytest.mark.parametrize("lists", [True, False], ids=["listed", "only answered"])
def test_another_model_than_the_stored_one_is_named(
    openai_config, gateway, question, serve_model, lists
):
    """Behind one address and name, the server now holds another model: told before any reuse."""
    told = []

    async def main():
        async with serve_model("llama-3.1", lists=lists) as url:
            first = gateway(openai_config(url), tell=told.append)
            await first.ask(question("one"))
            await first.close()
            assert told == []
        async with serve_model("qwen-2.5", lists=lists) as url:
            second = gateway(openai_config(url), tell=told.append)
            if not lists:
                await second.ask(question("new"))
            answer = await second.ask(question("one"))
            await second.close()
            return answer.stored

    assert asyncio.run(main())
    assert len(told) == 1
    assert "qwen-2.5" in told[0]
    assert "written by llama-3.1" in told[0]
    assert "identity" in told[0]
