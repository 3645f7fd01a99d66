"""A folder of signals: found by content, safe from crashes and from wrong rows."""

import json
import os
import pickle
import signal as signals
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from distill.errors import DataError, RecipeError, RunError
from distill.signals.cache import CacheWriter, SignalCache
from distill.signals.shard import HEAD


def _fill(folder, identity, rows, signal_of, **options):
    with CacheWriter(folder, identity, **options) as writer:
        for row in rows:
            if row not in writer:
                writer.add(row, signal_of(row))
                writer.commit()


def _same(cache, rows, signal_of):
    for row in rows:
        assert cache.read(row).ids_E.tolist() == signal_of(row).ids_E.tolist()


def test_order_does_not_matter(tmp_path, identity, make_rows, signal_of):
    """Rows written in another order, in other shards and in two sittings read the same."""
    rows = make_rows(30)
    _fill(tmp_path / "a", identity(), rows, signal_of)
    shuffled = [rows[at] for at in np.random.default_rng(0).permutation(30)]
    _fill(tmp_path / "b", identity(), shuffled[:11], signal_of, shard_bytes=800)
    _fill(tmp_path / "b", identity(), shuffled, signal_of, shard_bytes=800)
    caches = [SignalCache(tmp_path / name) for name in "ab"]
    assert len(caches[0].shards) == 1
    assert len(caches[1].shards) > 3
    for cache in caches:
        assert cache.rows == 30
        assert cache.positions == sum(len(row.positions_N) for row in rows)
        _same(cache, shuffled, signal_of)
        cache.need_all(rows)
        cache.verify()
        assert len(list(cache.signals())) == 30
        assert not list(cache.folder.glob("*.part"))


def test_a_key_is_the_content(identity, make_rows):
    """Another id, supervised token, teacher, tokenizer or setting is another key; a name is not."""
    row = make_rows(1)[0]
    base = identity()
    renamed = replace(row, id="other"), replace(base, teacher="other")
    assert renamed[1].key(renamed[0]) == base.key(row)
    assert len(base.key(row)) == 16
    ids_T = row.ids_T.copy()
    ids_T[0] += 1
    others = [
        base.key(replace(row, ids_T=ids_T)),
        base.key(replace(row, positions_N=row.positions_N[1:])),
        identity(teacher="weights-2").key(row),
        identity(tokenizer="pieces-2").key(row),
        identity(k=32).key(row),
        identity(temperatures=(2.0,)).key(row),
    ]
    assert len({base.key(row), *others}) == 7


def test_a_missing_row_is_named(tmp_path, identity, make_rows, signal_of):
    """A declared row that is not there is an error with its name, never another row's signal."""
    rows = make_rows(5)
    _fill(tmp_path, identity(), rows[:3], signal_of)
    cache = SignalCache(tmp_path)
    with pytest.raises(DataError) as caught:
        cache.read(rows[4])
    assert "row-4" in str(caught.value)
    with pytest.raises(DataError) as caught:
        cache.need_all(rows)
    assert "row-3, row-4" in caught.value.problems[0].found


def test_another_teacher_needs_another_folder(tmp_path, identity, make_rows, signal_of):
    """A folder made from something else is not written to; what differs is named."""
    _fill(tmp_path, identity(), make_rows(2), signal_of)
    with pytest.raises(RecipeError) as caught:
        CacheWriter(tmp_path, identity(teacher="weights-2", k=8))
    keys = {problem.key for problem in caught.value.problems}
    assert keys == {"teacher_fingerprint", "settings.k"}


@pytest.mark.parametrize("place", [0, HEAD.size - 2, HEAD.size + 20, -1])
def test_a_changed_byte_is_found(tmp_path, identity, make_rows, signal_of, place):
    """Whatever byte of a record changes, reading it is an error; verify names the file."""
    rows = make_rows(1)
    _fill(tmp_path, identity(), rows, signal_of)
    path = tmp_path / "shard-00000.data"
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    cache = SignalCache(tmp_path)
    with pytest.raises(DataError, match="changed"):
        cache.read(rows[0])
    with pytest.raises(DataError, match=r"shard-00000\.data"):
        cache.verify()


@pytest.mark.parametrize("damage", ["index", "cut", "manifest", "gone"])
def test_damaged_files_are_told(tmp_path, identity, make_rows, signal_of, damage):
    """A changed index, a cut data file, a broken manifest and a missing folder are user errors."""
    _fill(tmp_path, identity(), make_rows(3), signal_of)
    index, data = tmp_path / "shard-00000.index", tmp_path / "shard-00000.data"
    if damage == "index":
        index.write_bytes(bytes([index.read_bytes()[0] ^ 1]) + index.read_bytes()[1:])
    elif damage == "cut":
        data.write_bytes(data.read_bytes()[:-1])
    elif damage == "manifest":
        (tmp_path / "manifest.json").write_text('{"schema": 1')
    else:
        (tmp_path / "manifest.json").unlink()
    with pytest.raises(DataError):
        SignalCache(tmp_path)


def test_a_torn_tail_is_cut(tmp_path, identity, make_rows, signal_of):
    """After a crash in mid-record the whole records stay and the rest is captured again."""
    rows = make_rows(6)
    writer = CacheWriter(tmp_path, identity())
    for row in rows[:4]:
        writer.add(row, signal_of(row))
    writer.__exit__(RuntimeError, None, None)
    part = tmp_path / "shard-00000.data.part"
    assert SignalCache(tmp_path).rows == 0
    part.write_bytes(part.read_bytes()[:-5])
    with CacheWriter(tmp_path, identity()) as writer:
        assert [row in writer for row in rows] == [True] * 3 + [False] * 3
        for row in rows:
            writer.add(row, signal_of(row))
    cache = SignalCache(tmp_path)
    assert cache.rows == 6
    _same(cache, rows, signal_of)


def test_a_stop_between_rename_and_manifest(tmp_path, identity, make_rows, signal_of):
    """A shard that has its name but is not in the manifest is taken up again."""
    rows = make_rows(6)
    _fill(tmp_path, identity(), rows[:4], signal_of)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest |= {"shards": [], "rows": 0, "positions": 0}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError):
        SignalCache(tmp_path).read(rows[0])
    with CacheWriter(tmp_path, identity()) as writer:
        assert rows[0] in writer
        writer.add(rows[5], signal_of(rows[5]))
    cache = SignalCache(tmp_path)
    assert cache.rows == 5
    _same(cache, [*rows[:4], rows[5]], signal_of)


WRITER = """
import sys, time
sys.path[:0] = [{root!r}]
import numpy as np
from distill.signals.cache import CacheWriter
from distill.signals.identity import Identity
from distill.signals.settings import CaptureSettings
from distill.signals.types import SignalRow, TokenLogp
identity = Identity("t", "w", "p", 361, CaptureSettings(kind="token"))
with CacheWriter({folder!r}, identity, shard_bytes=400) as writer:
    for at in range(10**6):
        row = SignalRow.of(str(at), [1, 2, at], [False, True, True])
        writer.add(row, TokenLogp(np.array([-1, -at % 100], np.float32)))
        writer.commit()
        print(at, flush=True)
"""


def test_read_while_another_process_writes_and_is_killed(tmp_path, root):
    """A reader follows a writer; a second writer is refused with its pid; a kill loses nothing."""
    from distill.signals.identity import Identity
    from distill.signals.settings import CaptureSettings
    from distill.signals.types import SignalRow

    identity = Identity("t", "w", "p", 361, CaptureSettings(kind="token"))
    code = WRITER.format(root=str(root), folder=str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        cache, written = None, -1
        while written < 120:
            written = int(process.stdout.readline())
            if written == 20:
                cache = SignalCache(tmp_path)
        with pytest.raises(RunError, match=str(process.pid)):
            CacheWriter(tmp_path, identity)
        early = SignalRow.of("x", [1, 2, 3], [False, True, True])
        late = SignalRow.of("x", [1, 2, 100], [False, True, True])
        assert cache.read(early).gold_logp_N.tolist() == [-1, -3 % 100]
        assert cache.read(late).positions == 2  # sealed since the cache was opened
    finally:
        process.send_signal(signals.SIGKILL)
        process.communicate(timeout=30)
    with CacheWriter(tmp_path, identity) as writer:
        for at in range(written + 1):
            assert SignalRow.of("x", [1, 2, at], [False, True, True]) in writer
    SignalCache(tmp_path).verify()


def test_a_cache_goes_to_another_process(tmp_path, identity, make_rows, signal_of):
    """A cache survives pickling, as loaders of batches need it."""
    rows = make_rows(3)
    _fill(tmp_path, identity(), rows, signal_of)
    _same(pickle.loads(pickle.dumps(SignalCache(tmp_path))), rows, signal_of)


def test_a_full_disk_is_a_run_error(tmp_path, identity, make_rows, signal_of):
    """What the disk refuses is told with what to do."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="not lost"):
        CacheWriter(tmp_path / "file", identity())


def test_a_signal_of_other_positions_is_refused(tmp_path, identity, make_rows, signal_of):
    """A signal has to speak of the row's supervised positions."""
    rows = make_rows(2)
    with CacheWriter(tmp_path, identity()) as writer, pytest.raises(ValueError, match="positions"):
        writer.add(rows[0], signal_of(rows[1]))
