"""Records in, the same records out, in every format; spreadsheets find no formula."""

import csv

import pytest

from distill.errors import UsageError
from distill.rows.readers import read_records
from distill.rows.writers import write_records

ROWS = [
    {"text": 'a "quoted", cell\nwith two lines', "n": 3, "ok": True, "p": 0.25, "tags": ["x"]},
    {"text": "ümläut 🎈", "n": None, "ok": False, "p": 1.0, "tags": []},
]


def test_jsonl_keeps_every_value(tmp_path):
    """What goes out as JSONL comes back as it was."""
    write_records(tmp_path / "rows.jsonl", ROWS)
    assert read_records(tmp_path / "rows.jsonl") == ROWS


def test_parquet_keeps_text_and_numbers(tmp_path):
    """Lists become JSON text, everything else comes back as it was."""
    write_records(tmp_path / "rows.parquet", ROWS)
    back = read_records(tmp_path / "rows.parquet")
    assert [row["tags"] for row in back] == ['["x"]', "[]"]
    assert [{**row, "tags": None} for row in back] == [{**row, "tags": None} for row in ROWS]


def test_a_column_of_several_types_becomes_text(tmp_path):
    """A Parquet column has one type; mixed values are written as JSON text."""
    write_records(tmp_path / "rows.parquet", [{"v": 1}, {"v": "one"}, {"v": None}])
    assert [row["v"] for row in read_records(tmp_path / "rows.parquet")] == ["1", "one", None]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@a", "\tb", "'=c", "'", "plain", ""])
def test_csv_cells_are_no_formulas_and_come_back(tmp_path, text):
    """One apostrophe in front makes a risky cell text; taking it off restores every cell."""
    write_records(tmp_path / "rows.csv", [{"text": text, "n": -1}])
    with (tmp_path / "rows.csv").open(newline="") as file:
        [_, cells] = list(csv.reader(file))
    assert not cells[0].startswith(("=", "+", "-", "@", "\t"))
    assert (
        cells[0].removeprefix("'") == text
        if text.startswith(tuple("=+-@\t'"))
        else cells[0] == text
    )
    assert cells[1] == "-1"


def test_another_suffix_is_refused(tmp_path):
    """The formats that exist are named."""
    with pytest.raises(UsageError, match=r"\.jsonl, \.csv, \.parquet"):
        write_records(tmp_path / "rows.xlsx", ROWS)
