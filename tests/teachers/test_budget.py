import asyncio
import random
import sqlite3

import pytest

from teachers import (
    Answer,
    Budget,
    BudgetReached,
    Caps,
    Price,
    Record,
    ScriptedTeacher,
    Store,
    Usage,
)

PRICE = Price(input=2.0, output=8.0)


def spent_and_reserved(path):
    """What the file itself says, from another connection."""
    with sqlite3.connect(path) as other:
        rows = other.execute("SELECT sum(usd), sum(input_tokens + output_tokens) FROM spend")
        return rows.fetchone()


async def call(budget, luck, limit=100):
    held = await budget.reserve(
        key="k", teacher="t", price=PRICE, input_tokens=luck.randrange(200), output_tokens=limit
    )
    await asyncio.sleep(luck.random() * 0.005)
    fate = luck.random()
    if fate < 0.2:
        await budget.refund(held)
    elif fate < 0.3:
        budget.abandon(held, billed=True)
    else:
        used = Usage(held.input_tokens, luck.choice([0, 1, limit // 2, limit, limit]))
        await budget.settle(held, used)


@pytest.mark.parametrize("caps", [Caps(usd=0.05), Caps(requests=100), Caps(tokens=10_000)])
def test_cap_holds_with_two_hundred_in_flight(tmp_path, caps):
    """At every look, in memory and in the file, spent plus reserved is within the cap; twice."""
    path = tmp_path / "ledger.sqlite"
    looks = []

    async def watch(budget):
        while True:
            looks.append(spent_and_reserved(path))
            await asyncio.sleep(0.002)

    async def main(seed):
        luck = random.Random(seed)
        budget = Budget(path, caps)
        watcher = asyncio.create_task(watch(budget))
        calls = [call(budget, luck) for _ in range(400)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        watcher.cancel()
        totals = budget.totals()
        budget.close()
        return totals, {type(result) for result in results}

    first, kinds = asyncio.run(main(1))
    assert kinds == {type(None), BudgetReached}
    second, _ = asyncio.run(main(2))
    assert second.requests >= first.requests
    for usd, tokens in looks:
        assert caps.usd is None or (usd or 0) <= caps.usd + 1e-12
        assert caps.tokens is None or (tokens or 0) <= caps.tokens
    assert caps.usd is None or second.usd <= caps.usd
    assert caps.requests is None or second.requests == caps.requests
    used = second.input_tokens + second.output_tokens
    assert caps.tokens is None or used <= caps.tokens


def test_waits_for_calls_in_flight_instead_of_refusing(tmp_path):
    """An ask that fits once another has settled waits for it."""

    async def main():
        budget = Budget(tmp_path / "l.sqlite", Caps(tokens=100))
        ask = {"key": "k", "teacher": "t", "price": PRICE, "input_tokens": 10, "output_tokens": 80}
        first = await budget.reserve(**ask)
        waiting = asyncio.create_task(budget.reserve(**ask))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await budget.settle(first, Usage(5, 5))
        await budget.settle(await waiting, Usage(5, 5))
        with pytest.raises(BudgetReached, match=r"Raise budget\.tokens to 110 or more"):
            await budget.reserve(**{**ask, "output_tokens": 80})
        budget.close()

    asyncio.run(main())


def test_totals_by_teacher_and_stored(tmp_path):
    """Totals survive reopening, by teacher, with answers from the store beside them."""
    path = tmp_path / "l.sqlite"

    async def main():
        budget = Budget(path, Caps())
        for teacher, price in (("a", PRICE), ("b", None)):
            held = await budget.reserve(
                key="k", teacher=teacher, price=price, input_tokens=9, output_tokens=9
            )
            await budget.settle(held, Usage(1, 2))
        await budget.stored(key="k", teacher="a", usage=Usage(1, 2))
        before = budget.totals()
        budget.close()
        return before

    before = asyncio.run(main())
    again = Budget(path, Caps())
    assert again.totals() == before
    again.close()
    assert before.by_teacher["a"].usd == pytest.approx((1 * 2 + 2 * 8) / 1e6)
    assert before.by_teacher["b"].usd is None
    assert (before.usd, before.requests, before.stored_answers) == (None, 2, 1)
    assert before.as_dict()["by_teacher"]["a"]["input_tokens"] == 1


def test_crash_leaves_the_worst_case_unless_the_answer_is_stored(tmp_path):
    """On reopening, an open reservation costs what the stored answer used, else everything."""
    path = tmp_path / "l.sqlite"
    store = Store(tmp_path / "s.sqlite")

    async def main():
        budget = Budget(path, Caps(usd=1.0))
        for key in ("answered", "lost"):
            await budget.reserve(
                key=key, teacher="t", price=PRICE, input_tokens=100, output_tokens=100
            )
        answer = Answer("x", "stop", Usage(10, 10), "m")
        await store.put("answered", ScriptedTeacher(kind="scripted"), Record(answer))
        budget.close()

    asyncio.run(main())
    again = Budget(path, Caps(usd=1.0), store=store)
    totals = again.totals()
    assert (totals.requests, totals.unknown) == (2, 1)
    assert (totals.input_tokens, totals.output_tokens) == (110, 110)
    assert totals.usd == pytest.approx((110 * 2 + 110 * 8) / 1e6)
    again.close()
    store.close()


def test_cancelled_reservation_is_given_back(tmp_path):
    """An ask that is cancelled while it waits holds nothing afterwards."""

    async def main():
        budget = Budget(tmp_path / "l.sqlite", Caps(requests=1))
        ask = {"key": "k", "teacher": "t", "price": None, "input_tokens": 1, "output_tokens": 1}
        first = await budget.reserve(**ask)
        waiting = asyncio.create_task(budget.reserve(**ask))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await budget.refund(first)
        await budget.reserve(**ask)
        budget.close()

    asyncio.run(main())
