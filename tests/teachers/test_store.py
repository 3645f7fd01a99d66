import asyncio
import dataclasses
import os
import stat
import subprocess
import sys

import pytest

from teachers import (
    Answer,
    Record,
    ScriptedTeacher,
    StorageError,
    Store,
    TokenLogprob,
    Usage,
)

CONFIG = ScriptedTeacher(kind="scripted", identity="i")
FULL = Answer(
    text="naïve 🙂 \x00 'quoted'",
    finish="stop",
    usage=Usage(3, 4),
    model="served",
    reasoning="because",
    logprobs=(TokenLogprob("a", -0.1, (("a", -0.1), ("b", -2.302585092994046))),),
    choice_logp={"a": -0.1, "b": -2.3},
)


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "deep" / "store.sqlite")
    yield opened
    opened.close()


def put(store, key, record):
    return asyncio.run(store.put(key, CONFIG, record))


def test_answers_come_back_whole(store):
    """Every part of an answer survives the store, floats to the last bit."""
    put(store, "k", Record(FULL))
    assert store.get("k") == Record(FULL)
    assert store.get("other") is None


def test_first_usable_answer_stays(store):
    """A second answer to the same key changes nothing, and the writer is told which one stands."""
    second = dataclasses.replace(FULL, text="second")
    put(store, "k", Record(FULL))
    assert put(store, "k", Record(second)).answer == FULL


def test_failures_are_kept_and_give_way(store):
    """A failure is on record with its text, is not usable, and is replaced by an answer."""
    put(store, "k", Record(FULL, "parse", "no choice"))
    kept = store.get("k")
    assert (kept.failure, kept.message, kept.answer.text) == ("parse", "no choice", FULL.text)
    assert kept.usable(allow_truncated=True) is None
    put(store, "k", Record(None, "network", "down"))
    assert store.get("k") == Record(None, "network", "down")
    put(store, "k", Record(FULL))
    assert store.get("k").usable(allow_truncated=False) == FULL


def test_truncated_is_usable_where_allowed_only(store):
    """A cut answer serves those who allow it, and another cut one does not replace it."""
    cut = dataclasses.replace(FULL, finish="length")
    put(store, "k", Record(cut, "truncated"))
    put(store, "k", Record(dataclasses.replace(cut, text="other"), "truncated"))
    assert store.get("k").usable(allow_truncated=True) == cut
    assert store.get("k").usable(allow_truncated=False) is None


def test_file_is_private(store):
    """Only the owner may read answers, in the file and beside it."""
    put(store, "k", Record(FULL))
    for file in store.path.parent.iterdir():
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600, file


def test_many_writes_share_commits(store):
    """A thousand answers at once are committed in groups, quickly, and all are there."""

    async def main():
        await asyncio.gather(*(store.put(f"k{n}", CONFIG, Record(FULL)) for n in range(1000)))

    asyncio.run(main())
    assert store.counts() == {"answer": 1000}


def test_cancelled_waiter_loses_nothing(store):
    """A write is made even when nobody waits for it any more."""

    async def main():
        task = asyncio.create_task(store.put("k", CONFIG, Record(FULL)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await store.put("later", CONFIG, Record(FULL))

    asyncio.run(main())
    assert store.get("k") == Record(FULL)


def test_a_bad_write_fails_alone(store):
    """One answer that cannot be written does not take its neighbours along."""
    bad = dataclasses.replace(FULL, text="\ud800")

    async def main():
        puts = [store.put("good", CONFIG, Record(FULL)), store.put("bad", CONFIG, Record(bad))]
        return await asyncio.gather(*puts, return_exceptions=True)

    good, failed = asyncio.run(main())
    assert good.answer == FULL
    assert isinstance(failed, StorageError)


def test_full_disk_says_so(store):
    """A full disk is one clear error that names the folder; what was committed stays."""
    put(store, "before", Record(FULL))
    store._writer.submit("PRAGMA max_page_count = 1", ()).result()
    large = dataclasses.replace(FULL, text="x" * 100_000)
    with pytest.raises(StorageError, match="No space is left on the disk of") as caught:
        put(store, "after", Record(large))
    assert str(store.path.parent) in str(caught.value)
    assert store.get("before") == Record(FULL)


def test_folder_that_cannot_be_written(tmp_path):
    """A folder that cannot be made is one clear error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another folder"):
        Store(tmp_path / "file" / "store.sqlite")


def test_file_that_is_no_store(tmp_path):
    """A damaged file is named, not overwritten."""
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageError, match="damaged or no SQLite file"):
        Store(path)
    assert path.read_bytes().startswith(b"not a database")


def test_use_after_close(tmp_path):
    """A closed store refuses writes instead of hanging."""
    store = Store(tmp_path / "s.sqlite")
    store.close()
    store.close()
    with pytest.raises(StorageError, match="closed"):
        put(store, "k", Record(FULL))


WRITER = """
import asyncio, sys
from teachers import Answer, Record, ScriptedTeacher, Store, Usage
config = ScriptedTeacher(kind="scripted")
async def main():
    store = Store(sys.argv[1])
    for start in range(0, 200, 20):
        await asyncio.gather(*(
            store.put(f"k{n}", config, Record(Answer(sys.argv[2], "stop", Usage(1, 1), "m")))
            for n in range(start, start + 20)))
    store.close()
asyncio.run(main())
"""


def test_two_processes_share_a_store(tmp_path):
    """Two processes writing the same keys at once both finish, and one answer stands per key."""
    path = tmp_path / "store.sqlite"
    started = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("one", "two")
    ]
    assert [process.wait(timeout=60) for process in started] == [0, 0]
    store = Store(path)
    assert store.counts() == {"answer": 200}
    assert {store.get(f"k{n}").answer.text for n in range(200)} <= {"one", "two"}
    store.close()
