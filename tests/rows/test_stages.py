from pathlib import Path

import pyarrow.parquet as pq
import pytest

from distill.errors import DataError
from distill.rows.row import Row, Verdict
from distill.rows.stages import read_stage, write_stage


def rows(count: int) -> list[Row]:
    said = Verdict("length", False, "too_short", 3.0)
    return [
        Row("a", {"text": "é\n", "n": [1, None, {"x": True}]}, score=0.5),
        Row("b", {}, "rejected", "length:too_short", 3.0, (said, Verdict("x", True))),
        Row("c", {"text": ""}, "failed", "timeout"),
        *(Row(f"d{at}", {"n": at}) for at in range(count - 3)),
    ]


def test_round_trip_and_counts(tmp_path: Path) -> None:
    """Rows come back as they were, and in = accepted + rejected + failed."""
    counts = write_stage(tmp_path / "stage", rows(7), part_rows=3)
    assert (counts.accepted, counts.rejected, counts.failed, counts.total) == (5, 1, 1, 7)
    assert counts.reasons == {"length:too_short": 1, "timeout": 1}
    assert list(read_stage(tmp_path / "stage")) == rows(7)
    table = pq.read_table(tmp_path / "stage" / "part-00000.parquet")
    assert table.column_names == ["id", "status", "reason", "score", "fields", "verdicts"]


def test_shorter_run_leaves_no_old_parts(tmp_path: Path) -> None:
    """Writing fewer rows removes the parts of a longer run; none at all is still a stage."""
    write_stage(tmp_path, rows(7), part_rows=2)
    write_stage(tmp_path, rows(3), part_rows=2)
    assert list(read_stage(tmp_path)) == rows(3)
    assert write_stage(tmp_path, []).total == 0
    assert list(read_stage(tmp_path)) == []


def test_missing_and_broken_parts(tmp_path: Path) -> None:
    """A stage that was not written, or is not ours, is an error of the data."""
    with pytest.raises(DataError, match="no rows were written"):
        list(read_stage(tmp_path))
    (tmp_path / "part-00000.parquet").write_text("x")
    with pytest.raises(DataError, match="not readable"):
        list(read_stage(tmp_path))
