"""Every kind of file and folder that inspect reads."""

import json

import pytest

from distill.errors import DataError
from distill.inspect.sources import read_dataset, reading_notes


def test_json_of_splits_with_unnamed_columns(tmp_path):
    """An object of arrays holds splits; rows that are arrays get names of their places."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"train": [["hi", "a"], ["ho", "b"]], "oos_test": [["x", "c"]]}))
    items = read_dataset(path)
    assert [(item.split, dict(item.fields)["column2"]) for item in items] == [
        ("train", "a"), ("train", "b"), ("oos_test", "c"),
    ]  # fmt: skip


COLUMNS = {"text": ["hi", "ho"], "label": ["a", "b"]}


@pytest.mark.parametrize(
    ("value", "splits"),
    [
        (COLUMNS, ["train", "train"]),
        ({name: dict(enumerate(cells)) for name, cells in COLUMNS.items()}, ["train", "train"]),
        ({"train": COLUMNS, "dev": COLUMNS}, ["train", "train", "val", "val"]),
        ({"one": COLUMNS, "two": COLUMNS}, ["one", "one", "two", "two"]),
    ],
)
def test_json_of_columns(tmp_path, value, splits):
    """Columns of one length are rows, as `to_dict` and pandas write them, in splits too."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps(value))
    items = read_dataset(path)
    assert [item.split for item in items] == splits
    assert [item.fields["text"] for item in items] == ["hi", "ho"] * (len(splits) // 2)
    assert [item.fields["label"] for item in items] == ["a", "b"] * (len(splits) // 2)


def test_json_of_rows_by_name(tmp_path):
    """An object of rows of the same fields: the names are the ids, unless the rows have some."""
    path = tmp_path / "d.json"
    path.write_text(
        json.dumps({"q7": {"text": "hi", "label": "a"}, "q9": {"text": "ho", "label": "b"}})
    )
    assert [(item.id, item.fields["label"]) for item in read_dataset(path)] == [
        ("q7", "a"), ("q9", "b"),
    ]  # fmt: skip
    path.write_text(json.dumps({"0": {"id": "x", "n": 1}, "1": {"id": "y", "n": 2}}))
    assert [item.id for item in read_dataset(path)] == ["x", "y"]


def test_articles_of_squad(tmp_path):
    """One row per question, in an object beside a version, or in splits."""
    asked = [{"id": "q1", "question": "who", "answers": [{"text": "ann", "answer_start": 0}]},
             {"id": "q2", "question": "why", "answers": []}]  # fmt: skip
    articles = [{"title": "t", "paragraphs": [{"context": "ann came", "qas": asked}]}]
    path = tmp_path / "d.json"
    for value in ({"data": articles, "version": "1.1"}, {"train": articles}, articles):
        path.write_text(json.dumps(value))
        one, other = read_dataset(path)
        assert (one.id, one.fields["context"], one.fields["answer"]) == ("q1", "ann came", "ann")
        assert (other.fields["question"], other.fields["answers"]) == ("why", [])


def test_rows_beside_plain_values(tmp_path):
    """An object may hold its rows under any name, beside a version."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"version": 2, "items": [{"a": 1}, {"a": 2}]}))
    assert [dict(item.fields) for item in read_dataset(path)] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("first", ["no", "3.5", "this is a sentence of eight words or so"])
def test_data_taken_for_a_header_is_told(tmp_path, first):
    """A value below it, a number or a sentence is no name of a column."""
    path = tmp_path / "d.tsv"
    path.write_text(f"u1\t{first}\nu2\tno\nu3\tno\n")
    [note] = reading_notes(path, read_dataset(path), None)
    assert "--columns" in note
    assert reading_notes(path, read_dataset(path, ["u", "x"]), ["u", "x"]) == []
    path.write_text("unit\tlabel\nu2\tno\n")
    assert reading_notes(path, read_dataset(path), None) == []


def test_files_left_out_of_a_folder_are_told(tmp_path):
    """A file that no split is named after is not read, and the reader is told."""
    for name in ("gold.csv", "labels.csv"):
        (tmp_path / name).write_text("text,label\na,x\n")
    (tmp_path / "README.md").write_text("words\n")
    [note] = reading_notes(tmp_path, read_dataset(tmp_path), None)
    assert "labels.csv" in note
    assert "README" not in note
    (tmp_path / "dataset_info.json").write_text("{}")
    assert reading_notes(tmp_path, read_dataset(tmp_path), None) == []


def test_splits_of_plain_texts_are_no_columns(tmp_path):
    """Arrays of one length that are named after splits stay splits."""
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"train": ["a", "b"], "oos_test": ["c", "d"]}))
    assert [item.split for item in read_dataset(path)] == ["train", "train", "oos_test", "oos_test"]


def test_a_folder_of_splits(tmp_path):
    """Files are named after splits, under several names; one kind of file per split is read."""
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,y\n")
    (tmp_path / "validation.jsonl").write_text('{"text": "c", "label": "x"}\n')
    (tmp_path / "test-00000-of-00002.jsonl").write_text('{"text": "d", "label": "x"}\n')
    (tmp_path / "test-00001-of-00002.jsonl").write_text('{"text": "d", "label": "y"}\n')
    (tmp_path / "train.jsonl").write_text('{"text": "z", "label": "x"}\n')
    (tmp_path / "notes.txt").write_text("not a split\n")
    items = read_dataset(tmp_path)
    assert [(item.split, item.fields["text"]) for item in items] == [
        ("train", "z"), ("val", "c"), ("test", "d"), ("test", "d"),
    ]  # fmt: skip
    assert len({item.id for item in items}) == 4


def test_a_folder_without_splits(tmp_path):
    """Another folder is refused, with the names that it could have."""
    (tmp_path / "data.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match="named after a split"):
        read_dataset(tmp_path)


def test_rows_of_a_dataset_of_ours(tmp_path):
    """`fields` are seen beside the messages; the id stays."""
    path = tmp_path / "train.jsonl"
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a"}]
    path.write_text(
        json.dumps({"id": "k", "messages": turns, "fields": {"text": "hi", "label": "a"}})
    )
    [item] = read_dataset(path)
    assert item.id == "k"
    assert item.fields["label"] == "a"


def test_a_column_named_split(tmp_path):
    """Its values are the splits; dev is val."""
    path = tmp_path / "d.csv"
    path.write_text("text,split\na,train\nb,dev\n")
    assert [item.split for item in read_dataset(path)] == ["train", "val"]
