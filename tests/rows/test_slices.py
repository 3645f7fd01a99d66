"""Large files in slices: every row once, whatever the cuts are."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill.errors import DataError
from distill.rows.slices import SIMILARITY, Slice, count, cut, texts, write_parted


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("ab\u00e9\u4e2d \u2028", max_size=12), max_size=12),
    st.integers(1, 60),
    st.sampled_from(["\n", "\r\n", "\n\n"]),
    st.booleans(),
)
def test_every_row_lies_in_one_slice(tmp_path_factory, written, size, end, closed):
    """Lines of any length and any cuts: in order, none twice, none lost; blank lines are none."""
    path = tmp_path_factory.mktemp("lines") / "rows.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in written]
    path.write_bytes((end.join(lines) + (end if closed else "")).encode())
    slices = cut([path], size)
    assert [text for part in slices for text in texts(part, "text")] == written
    counted = [count(part, "text") for part in slices]
    assert sum(rows for rows, _, _ in counted) == len(written)
    assert not any(problem for _, _, problem in counted)


def test_rows_keep_their_bytes(tmp_path):
    """What stays is written as it was, what goes with its likeness; empty files are not written."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text":  "a", "n": 1.0}\n{"text": "b"}\n')
    [part] = cut([path])
    write_parted(part, {1: 0.9}, tmp_path / "kept.jsonl", tmp_path / "away.jsonl")
    assert (tmp_path / "kept.jsonl").read_text() == '{"text":  "a", "n": 1.0}\n'
    assert json.loads((tmp_path / "away.jsonl").read_text()) == {"text": "b", SIMILARITY: 0.9}
    write_parted(part, {}, tmp_path / "all.jsonl", tmp_path / "none.jsonl")
    assert (tmp_path / "all.jsonl").read_bytes() == path.read_bytes()
    assert not (tmp_path / "none.jsonl").exists()


def test_row_groups_keep_their_types(tmp_path):
    """A slice of Parquet is a row group; columns of any type stay what they are."""
    table = pa.table({"text": ["a", "b", "c"], "n": pa.array([1, None, 3], pa.int16())})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=2)
    first, second = cut([tmp_path / "rows.parquet"])
    assert [texts(part, "text") for part in (first, second)] == [["a", "b"], ["c"]]
    write_parted(first, {0: 1.0}, tmp_path / "kept.parquet", tmp_path / "away.parquet")
    assert pq.read_table(tmp_path / "kept.parquet").equals(table.slice(1, 1))
    away = pq.read_table(tmp_path / "away.parquet")
    assert away.to_pylist() == [{"text": "a", "n": 1, SIMILARITY: 1.0}]
    assert away.schema.field("n").type == pa.int16()


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        ('{"text": "a"}\n{"text": \n', 2, "not JSON"),
        ('{"text": "a"}\n\n{"other": "b"}\n', 3, "nothing in the field 'text'"),
        ('{"text": null}\n', 1, "nothing in the field 'text'"),
        ("[1]\n", 1, "not an object"),
        ('{"text": "\u00e9"}\n'.encode("latin-1"), 1, "not UTF-8"),
    ],
)
def test_the_first_bad_row_is_named(tmp_path, content, line, found):
    """With its line, as counted from the start of the slice."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _, _, problem = count(cut([path])[0], "text")
    assert problem.line == line
    assert found in problem.found


def test_files_that_are_refused(tmp_path):
    """A kind that is not cut, a missing file, a folder without any, a broken or missing column."""
    (tmp_path / "rows.csv").write_text("text\na\n")
    (tmp_path / "broken.parquet").write_text("no")
    for name in ("rows.csv", "missing.jsonl", "broken.parquet"):
        with pytest.raises(DataError, match=name):
            cut([tmp_path / name])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no such file"):
        cut([tmp_path / "empty"])
    pq.write_table(pa.table({"other": ["a", None]}), tmp_path / "rows.parquet")
    part = Slice(str(tmp_path / "rows.parquet"), 0, 1)
    assert count(part, "text")[2].allowed == "other"
    assert "row 2" in count(part, "other")[2].found
