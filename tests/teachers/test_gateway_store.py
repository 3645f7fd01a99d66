import asyncio
import dataclasses

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


def test_usage_of_stored_answers_is_kept(gateway, question):
    """An answer from the store says what it once used."""
    config = ScriptedTeacher(kind="scripted")

    async def main():
        teacher = gateway(config)
        return await teacher.ask(question()), await teacher.ask(question())

    first, second = asyncio.run(main())
    assert first.usage == second.usage != Usage(0, 0)
    assert (first.stored, second.stored) == (False, True)
