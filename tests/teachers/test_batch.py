"""The Batch API: every way a batch can end, and a process that dies at any point of it."""

import asyncio
import sqlite3

import pytest

from teachers import Answer, Budget, BudgetReached, Caps, Price, TeacherError, batch
from teachers.scripted.batches import BatchFaults
from teachers.scripted.server import Faults

ROWS = 12


@pytest.fixture
def asks(question):
    return [question(f"text {n}", choices=("a", "b")) for n in range(ROWS)]


@pytest.fixture
def batched(scripted_server, openai_config, gateway, gather, asks, tmp_path):
    """Asks everything by batch; gives the results, the server's counts, the totals, what was told.

    `meanwhile` is run while the batch is on its way, and the gateway is closed after it.
    """

    def run(faults=None, meanwhile=None, caps=None, rounds=1, leave=False, **settings):
        told = []

        async def main():
            served = scripted_server(Faults(batches=faults or BatchFaults()), choices=["a", "b"])
            async with served as (url, stats):
                settings.setdefault("mode", "batch")
                config = openai_config(url, price=Price(input=1, output=1), **settings)
                results = None
                for nth in range(rounds):
                    budget = Budget(tmp_path / "l.sqlite", caps or Caps(usd=1.0), store=store_of())
                    teacher = gateway(config, budget, tell=told.append)
                    work = asyncio.create_task(gather(teacher, asks))
                    if leave or nth + 1 < rounds:
                        while not stats["batches"]:
                            await asyncio.sleep(0.01)
                        work.cancel()
                        await teacher.close()
                        await asyncio.gather(work, return_exceptions=True)
                        if meanwhile:
                            meanwhile()
                    else:
                        results = await asyncio.wait_for(work, 20)
                        await teacher.close()
                    totals = budget.totals()
                    budget.close()
            return results, dict(stats), totals, told

        return asyncio.run(main())

    def store_of():
        return gateway_store

    gateway_store = None

    def use(store):
        nonlocal gateway_store
        gateway_store = store
        return run

    return use


def test_a_batch_answers_at_half_the_price(batched, store):
    """Everything goes in one batch, is stored, and costs half; its state and age are told."""
    results, stats, totals, told = batched(store)(BatchFaults(looks=1))
    assert all(isinstance(result, Answer) for result in results)
    assert (stats["batches"], stats["batched"], stats.get("requests")) == (1, ROWS, None)
    assert store.counts() == {"answer": ROWS}
    tokens = totals.input_tokens + totals.output_tokens
    assert totals.usd == pytest.approx(tokens / 1e6 / 2)
    assert results[0].cost_usd == pytest.approx(
        (results[0].usage.input_tokens + results[0].usage.output_tokens) / 1e6 / 2
    )
    assert any("batch_1: in_progress, 0 of 12 done, 0 min old" in line for line in told)
    assert any("batch_1: completed, 12 of 12 done" in line for line in told)


@pytest.mark.parametrize("trouble", ["expired", "half", "no_output"])
def test_only_what_was_not_answered_is_sent_again(batched, store, trouble):
    """Expired, half-failed and output-less batches keep what they finished; the rest is resent."""
    results, stats, totals, _ = batched(store)(BatchFaults(troubles=[trouble]))
    assert all(isinstance(result, Answer) for result in results)
    assert stats["batches"] == 2
    assert stats["batched"] == ROWS + (ROWS if trouble == "no_output" else 0)
    assert (totals.requests, totals.unknown) == (ROWS, 0)


def test_a_cancelled_batch_keeps_its_finished_part(batched, store):
    """Who cancels a batch wants no other one: the rest fails, and is asked by the next run."""
    results, stats, totals, _ = batched(store)(BatchFaults(troubles=["cancelled"]))
    failed = [result for result in results if isinstance(result, TeacherError)]
    assert len(failed) == ROWS // 2
    assert "the batch was cancelled" in str(failed[0])
    assert (stats["batches"], totals.requests) == (1, ROWS // 2)
    again, stats, _, _ = batched(store)()
    assert all(isinstance(result, Answer) for result in again)
    assert stats["batched"] == ROWS // 2


def test_a_request_named_twice_counts_once(batched, store):
    """Of two results with one custom_id the first one is taken."""
    results, _, totals, _ = batched(store)(BatchFaults(troubles=["duplicates"]))
    assert {result.text for result in results} <= {"a", "b"}
    assert totals.requests == ROWS


def test_a_full_queue_makes_smaller_batches(batched, store):
    """The account's limit on queued tokens is found out, told and kept from then on."""
    results, stats, totals, told = batched(store)(BatchFaults(troubles=["queue_full"]))
    assert all(isinstance(result, Answer) for result in results)
    assert stats["batches"] >= 3
    assert (stats["batched"], totals.requests) == (ROWS, ROWS)
    assert any("batch queue is full" in line for line in told)


def test_batches_are_split_by_queued_tokens(batched, store):
    """`batch_tokens` bounds what is queued at once."""
    _, stats, _, _ = batched(store)(batch_tokens=100)
    assert stats["batches"] >= 3
    assert stats["batched"] == ROWS


def test_a_creation_that_was_carried_out_and_not_answered(batched, store):
    """The batch is found by its mark: none is made a second time."""
    results, stats, _, _ = batched(store)(BatchFaults(silent=1))
    assert all(isinstance(result, Answer) for result in results)
    assert (stats["batches"], stats["batched"]) == (1, ROWS)


@pytest.mark.parametrize("lost", [False, True], ids=["known", "not yet saved"])
def test_a_batch_outlives_the_process(batched, store, tmp_path, lost):
    """The next run takes the batch up, also one that died before it knew the batch's name."""

    def forget_name():
        if lost:
            with sqlite3.connect(tmp_path / "store.sqlite") as other:
                other.execute("UPDATE batches SET remote = NULL, status = 'intended'")

    results, stats, totals, told = batched(store)(
        BatchFaults(seconds=0.3), meanwhile=forget_name, rounds=2
    )
    assert all(isinstance(result, Answer) for result in results)
    assert (stats["batches"], stats["batched"]) == (1, ROWS)
    # Taken over, not counted a second time at the worst case.
    assert (totals.requests, totals.unknown) == (ROWS, 0)
    assert any("of an earlier run is taken up" in line for line in told)


def test_the_cap_holds_over_a_batch(batched, store):
    """What a batch may cost is set aside before it is sent."""
    results, stats, totals, _ = batched(store)(caps=Caps(requests=5))
    assert sum(isinstance(result, Answer) for result in results) == 5
    assert (stats["batched"], totals.requests) == (5, 5)


def test_from_online_to_batch_nothing_is_asked_again(batched, store):
    """How an answer travelled is no part of its key."""
    _, first, _, _ = batched(store)(mode="online")
    _, second, _, _ = batched(store)(mode="batch")
    assert (first["requests"], second.get("requests"), second.get("batches")) == (ROWS, None, None)


def test_auto_takes_batches_for_many_asks(batched, store, monkeypatch):
    """A few asks go online at once; many go by batch."""
    _, few, _, _ = batched(store)(mode="auto")
    assert (few["requests"], few.get("batches")) == (ROWS, None)
    monkeypatch.setattr(batch, "AUTO_REQUESTS", ROWS)
    _, many, _, _ = batched(store)(mode="auto", temperature=0.5)
    assert (many.get("requests"), many["batches"]) == (None, 1)


def test_a_batch_that_nobody_asks_for_blocks_nobody(batched, store, question, tmp_path):
    """What an earlier run left in a batch counts under the cap; an ask over it ends at once."""
    batched(store)(BatchFaults(seconds=60), rounds=1, leave=True, caps=Caps(requests=4))

    async def main():
        budget = Budget(tmp_path / "l.sqlite", Caps(requests=4), store=store)
        reserve = budget.reserve(key="k", teacher="t", price=None, input_tokens=1, output_tokens=1)
        with pytest.raises(BudgetReached):
            await asyncio.wait_for(reserve, 5)
        budget.close()

    asyncio.run(main())


def test_an_ask_that_was_given_up_can_be_asked_again(scripted_server, openai_config, gateway, asks):
    """Cancelled before its batch was sent, it is forgotten, and goes in the next one."""

    async def main():
        async with scripted_server(choices=["a", "b"]) as (url, stats):
            teacher = gateway(openai_config(url, mode="batch"))
            first = asyncio.create_task(teacher.ask(asks[0]))
            await asyncio.sleep(0.02)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            answer = await asyncio.wait_for(teacher.ask(asks[0]), 20)
            await teacher.close()
            return answer, stats["batched"]

    answer, sent = asyncio.run(main())
    assert answer.text in ("a", "b")
    assert sent == 1
