import csv
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distill.errors import DataError
from distill.rows.readers import ENDINGS, read_numbered, read_records, read_texts

quiet = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "records"),
    [
        ("a.jsonl", '{"a": 1}\r\n\n{"a": "x\u2028y"}', [{"a": 1}, {"a": "x\u2028y"}]),
        ("a.json", '[{"a": null}]', [{"a": None}]),
        ("a.json", '{"train": [{"a": 1}], "val": []}', [{"a": 1, "split": "train"}]),
        ("a.json", '["x"]', [{"text": "x"}]),
        (
            "a.csv",
            '\ufeffa,b\r\n"x\ny",2\n\n"q""q",\n',
            [{"a": "x\ny", "b": "2"}, {"a": 'q"q', "b": ""}],
        ),
        ("a.tsv", "a\tb\n1, 2\t3\n", [{"a": "1, 2", "b": "3"}]),
        ("a.txt", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
        ("a.csv", "a;b\r\n1,5;2\r\n", [{"a": "1,5", "b": "2"}]),
        ("a.csv", "a;b\n1;\u00e9\n".encode("utf-16"), [{"a": "1", "b": "\u00e9"}]),
        ("a.txt", "one\n\n two \n", [{"text": "one"}, {"text": "two"}]),
    ],
)
def test_formats(
    tmp_path: Path, name: str, content: str | bytes, records: list[dict[str, Any]]
) -> None:
    """Each format gives the same plain records."""
    assert read_records(write(tmp_path, name, content)) == records


def test_columns_for_files_without_names(tmp_path: Path) -> None:
    """Given columns name the values of headerless files and of arrays."""
    records = [{"t": "a", "l": "b"}]
    assert read_records(write(tmp_path, "a.csv", "a,b\n"), columns=["t", "l"]) == records
    assert read_records(write(tmp_path, "a.txt", "a b\n"), columns=["t", "l"]) == records
    assert read_records(write(tmp_path, "a.json", '[["a", "b"]]'), columns=["t", "l"]) == records
    split = read_records(write(tmp_path, "b.json", '{"x": [["a", "b"]]}'), columns=["t", "l"])
    assert split == [{**records[0], "split": "x"}]


def test_an_index_without_a_name_is_left_out(tmp_path: Path) -> None:
    """As pandas writes it: a first column that counts from 0."""
    path = tmp_path / "a.csv"
    path.write_text(",a,b\n0,x,y\n1,z,w\n")
    assert read_records(path) == [{"a": "x", "b": "y"}, {"a": "z", "b": "w"}]


def test_lines_are_where_records_start(tmp_path: Path) -> None:
    """Quoted newlines and blank lines do not shift the line of a record."""
    numbered = read_numbered(write(tmp_path, "a.csv", 'a\n"x\ny"\n\nz\n'))
    assert [record.line for record in numbered] == [2, 5]
    assert [r.line for r in read_numbered(write(tmp_path, "a.jsonl", '\n{"a":1}\n'))] == [2]


def test_parquet(tmp_path: Path) -> None:
    """Parquet gives plain values: lists, mappings, null for NaN, ISO text for dates."""
    table = pa.table(
        {
            "a": [1.5, float("nan")],
            "m": [[{"role": "user"}], []],
            "d": pa.array([0, 1], pa.timestamp("s")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_records(tmp_path / "a.parquet") == [
        {"a": 1.5, "m": [{"role": "user"}], "d": "1970-01-01T00:00:00"},
        {"a": None, "m": [], "d": "1970-01-01T00:00:01"},
    ]


@pytest.mark.parametrize(
    ("name", "content", "line", "words"),
    [
        ("a.csv", "a,b\n1,2\n3\n", 3, "1 values for 2 columns"),
        ("a.csv", 'a,b\n"x\ny",2\n1,2,3\n', 4, "3 values for 2 columns"),
        ("a.csv", 'a\nb\n"open\n', 3, "broken row"),
        ("a.csv", "a,a\n1,2\n", 1, "two columns"),
        ("a.csv", ",a\n1,2\n", 1, "no name"),
        ("a.csv", ",a\n0,2\n2,3\n", 1, "column 1 has no name"),
        ("a.csv", ",,a\n0,1,2\n", 1, "column 2 has no name"),
        ("a.csv", "a\n", None, "no rows"),
        ("a.csv", b"a\nb\n\xff\n", 3, "not UTF-8"),
        ("a.jsonl", '{"a": 1}\n{"a": }\n', 2, "not JSON"),
        ("a.jsonl", '{"a": NaN}', 1, "NaN"),
        ("a.jsonl", '{"a": 1e999}', 1, "too large"),
        ("a.jsonl", '{"a": "\\ud800"}', 1, "surrogate"),
        ("a.jsonl", '{"a": ' + "9" * 5000 + "}", 1, "digits"),
        ("a.jsonl", "[" * 100_000, 1, "deeply"),
        ("a.jsonl", "[1]", 1, "not an object"),
        ("a.jsonl", "", None, "no rows"),
        ("a.json", '{"a": 1}\n{"a": 2}\n', 2, ".jsonl"),
        ("a.json", '{"a": 1}', 1, "not rows of data"),
        ("a.json", "[]", None, "no rows"),
        ("a.parquet", "no", None, "not a readable Parquet"),
        ("a.xls", "", None, "not known"),
    ],
)
def test_wrong_files(
    tmp_path: Path, name: str, content: str | bytes, line: int | None, words: str
) -> None:
    """What cannot be read exactly is refused with file and line."""
    path = write(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read_records(path)
    problem = caught.value.problems[0]
    assert (problem.file, problem.line) == (str(path), line)
    assert words in str(problem)


@pytest.mark.parametrize("ending", ENDINGS)
def test_missing_files_and_folders(tmp_path: Path, ending: str) -> None:
    """A missing file or a folder in its place is an error of the data."""
    with pytest.raises(DataError, match="no such file"):
        read_records(tmp_path / f"a{ending}")
    (tmp_path / f"b{ending}").mkdir()
    with pytest.raises(DataError):
        read_records(tmp_path / f"b{ending}")


def test_read_texts(tmp_path: Path) -> None:
    """One text per line, stripped; blank lines do not count; nothing at all is an error."""
    assert read_texts(write(tmp_path, "a.txt", " a \n\n b\tc\r\n")) == ["a", "b\tc"]
    with pytest.raises(DataError):
        read_texts(write(tmp_path, "b.txt", " \n"))


VALUES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(rows=st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5))
@quiet
def test_csv_round_trip(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    """Whatever the csv module writes with quotes is read back as it was."""
    whole = io.StringIO(newline="")
    csv.writer(whole, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    path = write(tmp_path, "a.csv", whole.getvalue())
    assert read_records(path) == [{"a": a, "b": b} for a, b in rows]


@given(
    rows=st.lists(
        st.dictionaries(VALUES, VALUES | st.floats(allow_nan=False, allow_infinity=False))
    )
)
@quiet
def test_jsonl_round_trip(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Whatever JSON can hold comes back as it was."""
    path = write(tmp_path, "a.jsonl", "".join(f"{json.dumps(row)}\n" for row in [{}, *rows]))
    assert read_records(path) == [{}, *rows]


@given(content=st.binary(max_size=60), ending=st.sampled_from(ENDINGS))
@quiet
def test_any_bytes_are_records_or_a_data_error(tmp_path: Path, content: bytes, ending: str) -> None:
    """No file makes a reader fail in another way."""
    with suppress(DataError):
        read_records(write(tmp_path, f"a{ending}", content))
