"""Whatever happens to the files of a cache, a signal is what was captured or an error."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import DistillError
from distill.signals.cache import CacheWriter, SignalCache

FILES = ("shard-00000.data", "shard-00000.index", "manifest.json")


@pytest.fixture(scope="module")
def places():
    return st.lists(
        st.tuples(st.sampled_from(FILES), st.floats(0, 1), st.integers(0, 255)),
        min_size=1,
        max_size=3,
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_changed_bytes_never_give_another_signal(
    tmp_path, identity, make_rows, signal_of, places, data
):
    """Bytes of data, index or manifest are overwritten: an error, or the very same signal."""
    folder = tmp_path / "cache"
    shutil.rmtree(folder, ignore_errors=True)
    rows = make_rows(3)
    with CacheWriter(folder, identity()) as writer:
        for row in rows:
            writer.add(row, signal_of(row))
    for name, share, value in data.draw(places):
        raw = bytearray((folder / name).read_bytes())
        raw[int(share * (len(raw) - 1))] = value
        (folder / name).write_bytes(raw)
    try:
        cache = SignalCache(folder)
        for row in rows:
            assert cache.read(row).ids_E.tolist() == signal_of(row).ids_E.tolist()
    except DistillError:
        return
