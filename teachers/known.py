"""What the store says about an ask: its answer, or where its re-asks stopped."""

from typing import NamedTuple

from teachers.errors import PAID
from teachers.keys import Keys
from teachers.protocol import Answer, Ask
from teachers.store import Record, Store


class Known(NamedTuple):
    """What is known of an ask before it is sent."""

    answer: Answer | None
    attempt: int = 0
    """The first attempt that is not on record."""
    last: Record | None = None
    over: bool = False
    """`last` is a failure that is not asked again."""


def look_up(
    store: Store | None, keys: Keys, ask: Ask, first: str, attempts: int, retry_failed: bool
) -> Known:
    """What the store knows of an ask whose first attempt has the key `first`."""
    if store is None:
        return Known(None)
    last = None
    for attempt in range(attempts):
        record = store.get(keys.key(ask, attempt) if attempt else first)
        answer = record.usable(ask.allow_truncated) if record else None
        if answer is not None:
            return Known(answer)
        if record is None:
            return Known(None, attempt, last)
        if record.failure not in ("parse", "schema"):
            over = record.failure in PAID and not retry_failed
            return Known(None, attempt, record if over else last, over)
        last = record
    # Every re-ask was used up in an earlier run.
    return Known(None) if retry_failed else Known(None, 0, last, over=True)
