import asyncio
import time

import pytest

from teachers.config import TokenRate
from teachers.limits import Bucket, Limits
from teachers.rate_headers import read_left, seconds


def test_bucket_keeps_the_rate():
    """After what fits at once, asks wait for their share of the minute."""
    bucket = Bucket(600)
    waits = [bucket.take(1) for _ in range(20)]
    assert waits[9] == 0
    assert 0.9 < waits[19] < 1.1


def test_bucket_lets_a_large_one_through_and_makes_the_next_wait():
    """An amount over the bucket's room goes when it is full and leaves a debt."""
    bucket = Bucket(6000)
    assert bucket.take(500) == 0
    assert 4.5 < bucket.take(100) < 5.5


def test_bucket_takes_back():
    """What was guessed and not used is available again."""
    bucket = Bucket(6000)
    bucket.take(500)
    bucket.give(450)
    assert bucket.take(1) == 0


def test_pause_holds_everybody():
    """A pause stops asks that were already admitted to waiting."""

    async def main():
        limits = Limits(16)
        limits.pause(0.05)
        start = time.monotonic()
        await asyncio.gather(*(limits.admit(1, 0) for _ in range(10)))
        return time.monotonic() - start

    assert 0.05 <= asyncio.run(main()) < 0.5


def test_input_and_output_have_buckets_of_their_own():
    """What an account limits apart is counted apart: a large input makes only the next one wait."""
    limits = Limits(16, tpm=TokenRate(input=6000, output=600_000))

    async def main():
        start = time.monotonic()
        await limits.admit(130, 1000)
        await limits.admit(1, 1000)
        return time.monotonic() - start

    assert 0.25 <= asyncio.run(main()) < 1.5


def test_a_burst_cuts_once_and_answers_recover():
    """Ten refusals of one burst cut the number in flight once; answers at the limit raise it."""
    limits = Limits(40)
    sent = time.monotonic()
    for _ in range(10):
        limits.refused(sent, 0.0)
    assert limits.now == 30
    limits.refused(time.monotonic(), 0.0)
    assert limits.now == 22.5

    async def main():
        async def busy():
            async with limits:
                await asyncio.sleep(0)
                limits.answered()

        await asyncio.gather(*(busy() for _ in range(2000)))

    asyncio.run(main())
    assert limits.now == 40


def test_answers_below_the_limit_raise_nothing():
    """A limit that is not in use is not known to be too low."""
    limits = Limits(40)
    limits.refused(time.monotonic(), 0.0)

    async def main():
        for _ in range(200):
            async with limits:
                limits.answered()

    asyncio.run(main())
    assert limits.now == 30


def test_cancelled_waiters_keep_no_place():
    """Whoever gives up in the queue leaves its place to the next."""

    async def main():
        limits = Limits(1)
        async with limits:
            waiting = [asyncio.create_task(hold(limits)) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
        await asyncio.wait_for(asyncio.gather(*waiting[1:]), 2)
        await asyncio.wait_for(hold(limits), 2)

    async def hold(limits):
        async with limits:
            await asyncio.sleep(0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("text", "value"), [("1s", 1), ("6m0s", 360), ("120ms", 0.12), ("1h2m", 3720), ("7", 7)]
)
def test_reset_times(text, value):
    """The forms in which servers say when a limit is whole again."""
    assert seconds(text) == pytest.approx(value)


def test_headers_pace_before_a_refusal_comes():
    """Where none is left, the next request waits for its share of the refill."""
    headers = {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60s",
    }
    left = read_left(headers)
    assert left.requests_s(1) == pytest.approx(0.1)
    assert read_left({**headers, "x-ratelimit-remaining-requests": "5"}).requests_s(1) == 0
    assert read_left({**headers, "x-ratelimit-reset-requests": "soon"}) is None
    assert read_left({}) is None
