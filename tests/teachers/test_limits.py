import asyncio
import time

from teachers.limits import Bucket, Limits


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
